//! The same program for people: talks on the terminal, unless it gets a port to serve on.

#[path = "../app/mod.rs"]
mod app;

use std::process::ExitCode;

fn main() -> ExitCode {
    app::run("mistral-rs", app::Mode::Interactive)
}
