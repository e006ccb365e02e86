//! Serves a model over HTTP, unless it is asked to talk on the terminal.

mod app;

use std::process::ExitCode;

fn main() -> ExitCode {
    app::run("mistralrs-server", app::Mode::Serve)
}
