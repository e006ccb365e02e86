//! The command line.

use std::iter::Peekable;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Run,
    Help,
    Version,
    Info,
    #[cfg(feature = "mcp-server")]
    ServeMcp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSource {
    Plain { model: String },
    Gguf { dir: String, file: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub action: Action,
    pub interactive: bool,
    pub host: String,
    pub port: Option<u16>,
    pub mcp_config: Option<String>,
    pub model: ModelSource,
}

pub fn usage(program: &str) -> String {
    let mcp = if cfg!(feature = "mcp-server") {
        "\n  serve-mcp               Be an MCP server for the files of this directory"
    } else {
        ""
    };
    format!(
        "\
Serves a toy language model, or talks on the terminal.

Usage: {program} [OPTIONS] [COMMAND]

Commands:
  plain -m MODEL          A name, a text to learn from, or a directory with corpus.txt
  gguf -m DIR -f FILE     A GGUF file{mcp}

Options:
  -p, --port N            Serve on this port; 0 takes a free one (default 8080)
      --serve-ip ADDRESS  Address to serve on (default 127.0.0.1)
  -i, --interactive-mode  Talk on the terminal
      --mcp-config FILE   Configuration of MCP servers
      --info              Print facts about this build
  -V, --version           Print the version
  -h, --help              Print this text

MISTRALRS_DEBUG=1 prints debug lines on stderr."
    )
}

/// The value behind an option, either joined with `=` or the next argument.
fn value(
    name: &str,
    joined: Option<&str>,
    rest: &mut Peekable<impl Iterator<Item = String>>,
) -> Result<String, String> {
    let value = match joined {
        Some(value) => Some(value.to_owned()),
        // An option is no value: `-m -f x` has lost one.
        None => rest.next_if(|next| !next.starts_with('-')),
    };
    value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| format!("{name} needs a value"))
}

pub fn parse(args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        action: Action::Run,
        interactive: false,
        host: "127.0.0.1".into(),
        port: None,
        mcp_config: None,
        model: ModelSource::Plain {
            model: "toy".into(),
        },
    };
    let mut command = None;
    let (mut model, mut file) = (None, None);
    let mut args = args.peekable();
    while let Some(arg) = args.next() {
        let (name, joined) = match arg.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value)),
            _ => (arg.as_str(), None),
        };
        match name {
            "-p" | "--port" => {
                let port = value(name, joined, &mut args)?;
                let number = port.parse();
                options.port = Some(number.map_err(|_| format!("'{port}' is not a port"))?);
            }
            "--serve-ip" => options.host = value(name, joined, &mut args)?,
            "--mcp-config" => options.mcp_config = Some(value(name, joined, &mut args)?),
            "-m" | "--model-id" | "--quantized-model-id" if command.is_some() => {
                model = Some(value(name, joined, &mut args)?);
            }
            "-f" | "--quantized-filename" if command.as_deref() == Some("gguf") => {
                file = Some(value(name, joined, &mut args)?);
            }
            _ if joined.is_some() => return Err(format!("unexpected argument '{arg}'")),
            "-i" | "--interactive-mode" => options.interactive = true,
            "-h" | "--help" => options.action = Action::Help,
            "-V" | "--version" => options.action = Action::Version,
            "--info" => options.action = Action::Info,
            "plain" | "gguf" if command.is_none() => command = Some(arg),
            #[cfg(feature = "mcp-server")]
            "serve-mcp" if command.is_none() => {
                options.action = Action::ServeMcp;
                command = Some(arg);
            }
            _ => return Err(format!("unexpected argument '{arg}'")),
        }
    }
    if options.action != Action::Run {
        return Ok(options);
    }
    match command.as_deref() {
        Some("plain") => {
            let model = model.ok_or("plain needs -m MODEL")?;
            options.model = ModelSource::Plain { model };
        }
        Some("gguf") => {
            let dir = model.ok_or("gguf needs -m DIR")?;
            let file = file.ok_or("gguf needs -f FILE")?;
            options.model = ModelSource::Gguf { dir, file };
        }
        _ => {}
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        super::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn command_lines_of_the_guide() {
        let options = parse("-i plain -m Qwen/Qwen2.5").unwrap();
        assert!(options.interactive && options.port.is_none());
        let model = ModelSource::Plain {
            model: "Qwen/Qwen2.5".into(),
        };
        assert_eq!(options.model, model);
        let options = parse("--serve-ip 127.0.0.2 --port 0").unwrap();
        assert_eq!(options.host, "127.0.0.2");
        let options = parse("--port 80 --mcp-config a.json gguf -m dir -f b.gguf").unwrap();
        assert_eq!(options.port, Some(80));
        assert_eq!(options.mcp_config.as_deref(), Some("a.json"));
        assert_eq!(parse("--port=0").unwrap().port, Some(0));
        assert_eq!(parse("--info plain").unwrap().action, Action::Info);
    }

    #[test]
    fn errors() {
        for (line, part) in [
            ("--port", "needs a value"),
            ("--port x", "'x'"),
            ("--port 70000", "'70000'"),
            ("plain", "-m MODEL"),
            ("gguf -m -f", "-m needs a value"),
            ("gguf -m dir", "-f FILE"),
            ("-m toy", "'-m'"),
            ("plain -m a gguf", "'gguf'"),
            ("-i=1", "'-i=1'"),
            ("--info=1", "'--info=1'"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn usage_names_the_program() {
        assert!(usage("prog").contains("Usage: prog"));
    }
}
