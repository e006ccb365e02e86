//! Runs the program with piped input.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

fn tui(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mistralrs-tui"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn piped_session() {
    let output = tui(&["--models", "src"], "help\nmodels\nquit\n");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("+- mistralrs -"));
    assert!(text.contains("no models") && text.ends_with("bye\n"));
}

#[test]
fn bad_arguments() {
    assert_eq!(tui(&["--what"], "").status.code(), Some(2));
    assert!(tui(&["--version"], "").status.success());
}
