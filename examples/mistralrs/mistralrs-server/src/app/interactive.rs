//! A conversation on the terminal.

use std::io::{self, BufRead, Write};

use mistralrs_agent_tools::{cat, ls, Sandbox};
use mistralrs_core::{GenerateParams, ToyModel};

const HELP: &str = "\
\\help         this text
\\exit         leave
\\clear        forget the conversation
\\ls [DIR]     list files below the current directory
\\cat FILE     show one of them";

#[cfg(feature = "tui-agent")]
const AGENT_HELP: &str = "\\grep WORD FILE  find lines";

/// Reads lines until `\exit` or the end of the input.
pub fn talk(
    model: &ToyModel,
    sandbox: &Sandbox,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> io::Result<()> {
    writeln!(output, "Model {}. \\help lists the commands.", model.id())?;
    let mut conversation = String::new();
    loop {
        write!(output, "> ")?;
        output.flush()?;
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return writeln!(output);
        }
        let line = line.trim();
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (word, rest.trim()) {
            ("", _) => {}
            ("\\exit", _) => return Ok(()),
            ("\\help", _) => {
                writeln!(output, "{HELP}")?;
                #[cfg(feature = "tui-agent")]
                writeln!(output, "{AGENT_HELP}")?;
            }
            ("\\clear", _) => conversation.clear(),
            ("\\ls", path) => {
                let path = if path.is_empty() { "." } else { path };
                show(output, ls(sandbox, path).map(|names| names.join("\n")))?;
            }
            ("\\cat", path) => show(output, cat(sandbox, path))?,
            #[cfg(feature = "tui-agent")]
            ("\\grep", rest) => {
                let (needle, path) = rest.split_once(' ').unwrap_or((rest, "."));
                let lines = mistralrs_agent_tools::grep(sandbox, needle, path.trim());
                let join = |(number, line)| format!("{number}:{line}");
                show(
                    output,
                    lines.map(|l| l.into_iter().map(join).collect::<Vec<_>>().join("\n")),
                )?;
            }
            (command, _) if command.starts_with('\\') => {
                writeln!(output, "unknown command {command}, see \\help")?;
            }
            _ => {
                conversation.push_str(line);
                conversation.push('\n');
                let mut written = Ok(());
                let answer =
                    model.generate_with(&conversation, &GenerateParams::default(), |piece| {
                        written = write!(output, "{piece}").and_then(|()| output.flush());
                        written.is_ok()
                    });
                written?;
                writeln!(output)?;
                conversation.push_str(&answer.text);
                conversation.push('\n');
            }
        }
    }
}

fn show<E: std::fmt::Display>(
    output: &mut impl Write,
    result: Result<String, E>,
) -> io::Result<()> {
    match result {
        Ok(text) => writeln!(output, "{}", text.trim_end()),
        Err(error) => writeln!(output, "error: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(lines: &str) -> String {
        let model = ToyModel::plain("toy").unwrap();
        let sandbox = Sandbox::new("src").unwrap();
        let mut output = Vec::new();
        talk(&model, &sandbox, &mut lines.as_bytes(), &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn commands() {
        let text = session("\\help\n\\ls\n\\cat ../Cargo.toml\n\\what\n\\exit\nHello!\n");
        for part in ["\\clear", "main.rs", "outside", "unknown command \\what"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(!text.contains("toy model"));
    }

    #[test]
    fn answers_until_the_end_of_the_input() {
        assert!(session("Hello!\n\n").contains("I am a toy model"));
    }
}
