//! Runs the programs.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Output, Stdio},
};

const SERVER: &str = env!("CARGO_BIN_EXE_mistralrs-server");
const MISTRAL_RS: &str = env!("CARGO_BIN_EXE_mistral-rs");

fn run(program: &str, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Kills the child in the end, also if a test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn version_help_and_info() {
    for (program, name) in [(SERVER, "mistralrs-server"), (MISTRAL_RS, "mistral-rs")] {
        let version = text(&run(program, &["--version"], "").stdout);
        assert_eq!(
            version.trim(),
            format!("{name} {}", env!("CARGO_PKG_VERSION"))
        );
        assert!(text(&run(program, &["--help"], "").stdout).contains("--mcp-config"));
        let info = text(&run(program, &["--info"], "").stdout);
        for key in ["features=", "backends=", "opt_level=", "cuda="] {
            assert!(info.lines().any(|line| line.starts_with(key)), "{info}");
        }
    }
}

#[test]
fn interactive_mode() {
    for (program, args) in [
        (SERVER, &["-i", "plain", "-m", "toy"][..]),
        (MISTRAL_RS, &[][..]),
    ] {
        let output = run(program, args, "Hello!\n\\help\n\\exit\n");
        assert!(output.status.success());
        let stdout = text(&output.stdout);
        assert!(stdout.contains("toy model") && stdout.contains("\\exit"));
    }
}

#[test]
fn errors_have_a_text_and_a_status() {
    for (args, code, part) in [
        (&["--nonsense"][..], 2, "--nonsense"),
        (&["gguf", "-m", ".", "-f", "none.gguf"], 1, "no such file"),
        (&["gguf", "-m", ".", "-f", "Cargo.toml"], 1, "magic"),
        (&["--mcp-config", "none.json"], 1, "none.json"),
        (&["--mcp-config", "Cargo.toml"], 1, "not JSON"),
    ] {
        let output = run(SERVER, args, "");
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert!(text(&output.stderr).contains(part), "{args:?}");
    }
}

#[test]
fn serves_on_a_free_port_with_an_mcp_configuration() {
    let config = env::temp_dir().join(format!("mistralrs-server-{}.json", std::process::id()));
    fs::write(&config, r#"{"mcpServers": {"a": {"command": "x"}}}"#).unwrap();
    let mut child = Running(
        Command::new(MISTRAL_RS)
            .args(["--port", "0", "--mcp-config"])
            .arg(&config)
            .env("MISTRALRS_DEBUG", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    fs::remove_file(&config).unwrap();
    let (_, addr) = line.trim().split_once("http://").unwrap();
    let mut stream = TcpStream::connect(addr).unwrap();
    stream
        .write_all(b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(r#""mcp_servers":1"#), "{answer}");
}

#[test]
fn debug_lines_are_on_stderr() {
    let output = Command::new(MISTRAL_RS)
        .env("MISTRALRS_DEBUG", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(text(&output.stderr).contains("DEBUG mistralrs_core::model"));
    assert!(!text(&output.stdout).contains("DEBUG"));
}
