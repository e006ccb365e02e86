//! The models in a directory.

use std::{fmt, fs, io, path::Path};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub bytes: u64,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.bytes as f64 / f64::from(1 << 20);
        write!(f, "{} ({mib:.1} MiB)", self.name)
    }
}

/// All GGUF files, by name.
pub fn list(dir: &Path) -> io::Result<Vec<Entry>> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        if path.extension().is_some_and(|e| e == "gguf") && path.is_file() {
            out.push(Entry {
                name: entry.file_name().to_string_lossy().into_owned(),
                bytes: fs::metadata(&path)?.len(),
            });
        }
    }
    out.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_gguf_files_in_order() {
        let dir = std::env::temp_dir().join(format!("tui-inventory-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        for name in ["b.gguf", "a.gguf", "c.txt"] {
            fs::write(dir.join(name), name).unwrap();
        }
        let found = list(&dir);
        fs::remove_dir_all(&dir).unwrap();
        let names: Vec<_> = found.unwrap().into_iter().map(|e| e.name).collect();
        assert_eq!(names, ["a.gguf", "b.gguf"]);
        assert!(list(&dir).is_err());
    }

    #[test]
    fn sizes() {
        let entry = Entry {
            name: "m".into(),
            bytes: 3 << 19,
        };
        assert_eq!(entry.to_string(), "m (1.5 MiB)");
    }
}
