//! Models from files, as the server loads them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
};

use mistralrs_core::{gguf::Gguf, GenerateParams, ToyModel};

/// A directory that is removed at the end.
struct TempDir(PathBuf);

impl TempDir {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("mistralrs-core-{name}-{}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn gguf_with_a_corpus() {
    let dir = TempDir::new("gguf");
    let file = Gguf {
        version: 3,
        tensors: 0,
        strings: vec![
            ("general.name".into(), "farm".into()),
            ("toy.corpus".into(), "Cows eat grass.".into()),
        ],
    };
    fs::write(dir.0.join("farm.gguf"), file.to_bytes()).unwrap();
    let model = ToyModel::gguf(&dir.0, "farm.gguf").unwrap();
    assert_eq!(model.id(), "farm");
    let answer = model.generate("cows", &GenerateParams::default());
    assert_eq!(answer.text, "Cows eat grass.");
}

#[test]
fn gguf_errors_name_the_file() {
    let dir = TempDir::new("bad-gguf");
    fs::write(dir.0.join("text.gguf"), "hello, world").unwrap();
    fs::write(dir.0.join("short.gguf"), "GGUF").unwrap();
    for (file, part) in [
        ("missing.gguf", "no such file"),
        ("text.gguf", "magic"),
        ("short.gguf", "ends too early"),
    ] {
        let message = ToyModel::gguf(&dir.0, file).unwrap_err().to_string();
        assert!(
            message.contains(part) && message.contains(file),
            "{message}"
        );
    }
    assert!(ToyModel::gguf(Path::new("/"), "").is_err());
}

#[test]
fn plain_directory() {
    let dir = TempDir::new("plain");
    let name = dir.0.to_str().unwrap();
    assert!(ToyModel::plain(name).is_err());
    fs::write(dir.0.join("corpus.txt"), "Birds sing.").unwrap();
    let answer = ToyModel::plain(name)
        .unwrap()
        .generate("", &GenerateParams::default());
    assert_eq!(answer.text, "Birds sing.");
}
