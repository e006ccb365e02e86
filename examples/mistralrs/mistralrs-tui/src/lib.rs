//! A terminal front-end that reads a command a line.
//!
//! ```
//! use mistralrs_tui::screen;
//!
//! assert_eq!(screen::draw_box("hi", &["there"], true).lines().count(), 3);
//! ```

pub mod inventory;
pub mod screen;

use std::{
    io::{self, BufRead, Write},
    path::Path,
};

/// How the session looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Somebody types: show a prompt.
    pub prompt: bool,
    /// Frames of line-drawing characters instead of ASCII.
    pub unicode: bool,
}

const HELP: &[&str] = &[
    "help         this text",
    "models       the models in the directory",
    #[cfg(feature = "tui-agent")]
    "ls           the files in the directory",
    #[cfg(feature = "gpu")]
    "pixels       size of the picture that a window would show",
    "quit         leave",
];

/// Runs until `quit` or the end of the input.
pub fn run(
    models: &Path,
    style: Style,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> io::Result<()> {
    let draw = |title: &str, lines: &[&str]| screen::draw_box(title, lines, style.unicode);
    let welcome = ["A scale model of a terminal front-end.", "Type help."];
    write!(output, "{}", draw("mistralrs", &welcome))?;
    loop {
        if style.prompt {
            write!(output, "mistralrs> ")?;
        }
        output.flush()?;
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        match line.trim() {
            "" => {}
            "quit" | "exit" | "\\exit" => {
                writeln!(output, "bye")?;
                return output.flush();
            }
            "help" | "\\help" => write!(output, "{}", draw("commands", HELP))?,
            "models" => match inventory::list(models) {
                Ok(found) if found.is_empty() => {
                    writeln!(output, "no models in {}", models.display())?;
                }
                Ok(found) => {
                    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
                    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                    write!(output, "{}", draw("models", &lines))?;
                }
                Err(error) => writeln!(output, "error: {}: {error}", models.display())?,
            },
            #[cfg(feature = "tui-agent")]
            "ls" => {
                let names = mistralrs_agent_tools::Sandbox::new(models)
                    .and_then(|sandbox| mistralrs_agent_tools::ls(&sandbox, "."));
                match names {
                    Ok(names) => {
                        let lines: Vec<&str> = names.iter().map(String::as_str).collect();
                        write!(output, "{}", draw("files", &lines))?;
                    }
                    Err(error) => writeln!(output, "error: {error}")?,
                }
            }
            #[cfg(feature = "gpu")]
            "pixels" => {
                let (width, height) = screen::pixels(&draw("commands", HELP));
                writeln!(output, "{width} x {height}")?;
            }
            other => writeln!(output, "unknown command '{other}', try help")?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(prompt: bool, lines: &str) -> String {
        let style = Style {
            prompt,
            unicode: false,
        };
        let mut output = Vec::new();
        run(Path::new("src"), style, &mut lines.as_bytes(), &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn commands() {
        let text = session(false, "help\n\nwhat\nmodels\nquit\nhelp\n");
        assert_eq!(text.matches("this text").count(), 1);
        assert!(text.contains("unknown command 'what'"));
        assert!(text.contains("no models in src"));
        assert!(text.ends_with("bye\n"));
        assert!(!text.contains("mistralrs> "));
    }

    #[test]
    fn prompt_and_end_of_input() {
        assert_eq!(session(true, "what").matches("mistralrs> ").count(), 2);
    }
}
