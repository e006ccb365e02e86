//! The file tools as an MCP server on standard input and output.
//! The only argument is the root directory; default is the current one.

use std::{env, io, process::ExitCode};

use mistralrs_agent_tools::{mcp_server, Sandbox};

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    let root = args.next().unwrap_or_else(|| ".".into());
    if root.starts_with('-') || args.next().is_some() {
        eprintln!("usage: mcp-server [ROOT]");
        return ExitCode::from(2);
    }
    let sandbox = match Sandbox::new(&root) {
        Ok(sandbox) => sandbox,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    match mcp_server::serve(&sandbox, io::stdin().lock(), io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
