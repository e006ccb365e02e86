//! File tools for agents. With the feature `sandbox`, which is on by default, no path
//! leads out of the root directory, not even through a symbolic link.

pub mod mcp_server;
pub mod sandbox;

use std::{fs, io};

pub use sandbox::{Sandbox, SandboxError};

/// Larger files are cut off when they are read.
const MAX_READ: u64 = 1 << 20;

/// Names in a directory, sorted; those of directories end with a slash.
pub fn ls(sandbox: &Sandbox, path: &str) -> Result<Vec<String>, SandboxError> {
    let dir = sandbox.resolve(path)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir).map_err(|e| SandboxError::io(path, e))? {
        let entry = entry.map_err(|e| SandboxError::io(path, e))?;
        let slash = if entry.path().is_dir() { "/" } else { "" };
        names.push(format!("{}{slash}", entry.file_name().to_string_lossy()));
    }
    names.sort();
    Ok(names)
}

/// The text of a file, at most 1 MiB of it.
pub fn cat(sandbox: &Sandbox, path: &str) -> Result<String, SandboxError> {
    let file = sandbox.resolve(path)?;
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        io::Read::read_to_end(
            &mut io::Read::take(fs::File::open(file)?, MAX_READ),
            &mut bytes,
        )?;
        Ok(bytes)
    };
    let bytes = read().map_err(|e| SandboxError::io(path, e))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Numbers (from 1) and texts of the lines that contain `needle`.
pub fn grep(
    sandbox: &Sandbox,
    needle: &str,
    path: &str,
) -> Result<Vec<(usize, String)>, SandboxError> {
    let text = cat(sandbox, path)?;
    Ok((1..)
        .zip(text.lines())
        .filter(|(_, line)| line.contains(needle))
        .map(|(number, line)| (number, line.to_owned()))
        .collect())
}
