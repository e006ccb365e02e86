//! Runs the program.

use std::process::Command;

fn bench(args: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_mistralrs-bench"))
        .args(args)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), text)
}

#[test]
fn quick_json_and_table() {
    let (code, json) = bench(&["--quick", "--json"]);
    assert_eq!(code, 0);
    assert!(json.starts_with('{') && json.contains("\"generate\""));
    let (code, table) = bench(&["--quick"]);
    assert_eq!((code, table.lines().count()), (0, 6));
}

#[test]
fn unknown_argument() {
    assert_eq!(bench(&["--slow"]).0, 2);
}
