//! What both programs of this package share.

mod args;
mod info;
mod interactive;

use std::{env, error::Error, io, path::Path, process::ExitCode};

use mistralrs_core::{backends, debug_line, mcp::McpConfig, CudaStatus, ToyModel};
use mistralrs_server_core::{Server, State};

use args::{Action, ModelSource, Options};

/// What to do if the arguments do not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Serve,
    Interactive,
}

const DEFAULT_PORT: u16 = 8080;

pub fn run(program: &str, default: Mode) -> ExitCode {
    let options = match args::parse(env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("error: {message}\n\nTry '{program} --help'.");
            return ExitCode::from(2);
        }
    };
    match act(program, default, &options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn act(program: &str, default: Mode, options: &Options) -> Result<(), Box<dyn Error>> {
    match options.action {
        Action::Help => println!("{}", args::usage(program)),
        Action::Version => println!("{program} {}", env!("CARGO_PKG_VERSION")),
        Action::Info => print!("{}", info::text(program)),
        #[cfg(feature = "mcp-server")]
        Action::ServeMcp => mistralrs_agent_tools::mcp_server::serve(
            &mistralrs_agent_tools::Sandbox::new(".")?,
            io::stdin().lock(),
            io::stdout().lock(),
        )?,
        Action::Run => start(program, default, options)?,
    }
    Ok(())
}

fn start(program: &str, default: Mode, options: &Options) -> Result<(), Box<dyn Error>> {
    let mcp = match &options.mcp_config {
        Some(path) => Some(McpConfig::load(Path::new(path))?),
        None => None,
    };
    for server in mcp.iter().flat_map(McpConfig::enabled) {
        debug_line!("MCP server {}: {:?}", server.name, server.source);
    }
    let model = match &options.model {
        ModelSource::Plain { model } => ToyModel::plain(model)?,
        ModelSource::Gguf { dir, file } => ToyModel::gguf(Path::new(dir), file)?,
    };
    debug_line!("back-ends {:?}, cuda: {}", backends(), CudaStatus::detect());

    let mode = match (options.interactive, options.port) {
        (true, _) => Mode::Interactive,
        (false, Some(_)) => Mode::Serve,
        (false, None) => default,
    };
    if mode == Mode::Interactive {
        let sandbox = mistralrs_agent_tools::Sandbox::new(".")?;
        interactive::talk(&model, &sandbox, &mut io::stdin().lock(), &mut io::stdout())?;
        return Ok(());
    }
    let port = options.port.unwrap_or(DEFAULT_PORT);
    let host = options.host.as_str();
    let server = Server::bind((host, port), State { model, mcp })
        .map_err(|e| format!("cannot listen on {host}:{port}: {e}"))?;
    println!("{program} listening on http://{}", server.local_addr()?);
    server.serve();
    Ok(())
}
