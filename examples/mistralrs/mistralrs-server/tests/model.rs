//! Talks with the model that `MODEL` names: a name, a text, a folder with `corpus.txt`, or a GGUF file.

use std::{
    env,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

fn arguments(model: &str) -> Vec<String> {
    let path = Path::new(model);
    match (path.extension(), path.parent(), path.file_name()) {
        (Some(end), Some(folder), Some(file)) if end == "gguf" => {
            let words = ["gguf", "-m", folder.to_str().unwrap(), "-f"];
            let words = words.iter().copied().chain(file.to_str());
            words.map(str::to_owned).collect()
        }
        _ => ["plain", "-m", model].map(str::to_owned).into(),
    }
}

#[test]
fn answers_with_the_given_model() {
    let model = env::var("MODEL").unwrap_or("toy".into());
    let mut child = Command::new(env!("CARGO_BIN_EXE_mistral-rs"))
        .args(arguments(&model))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that could not load its model is gone already.
    let _ = child.stdin.take().unwrap().write_all(b"Hello!\n\\exit\n");
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "MODEL={model}: {errors}");
    assert!(!output.stdout.is_empty());
}
