//! Starts the terminal front-end.

use std::{
    env,
    io::{self, IsTerminal},
    path::PathBuf,
    process::ExitCode,
};

use mistralrs_tui::{run, Style};

const USAGE: &str = "\
Usage: mistralrs-tui [--models DIR]

  --models DIR  where the GGUF files are (default: the current directory)
  --version     print the version
  --help        print this text";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let models = match args[..] {
        [] => PathBuf::from("."),
        ["--models", dir] => PathBuf::from(dir),
        ["--version" | "-V"] => {
            println!("mistralrs-tui {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        ["--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("error: unexpected arguments\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let style = Style {
        prompt: io::stdin().is_terminal(),
        unicode: io::stdout().is_terminal(),
    };
    match run(&models, style, &mut io::stdin().lock(), &mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of our output left, as `| head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
