//! Where the paths of an agent may lead.

use std::{
    fmt, io,
    path::{Component, Path, PathBuf},
};

#[derive(Debug)]
pub enum SandboxError {
    /// The path leads out of the root.
    Outside(String),
    Io(String, io::Error),
}

impl SandboxError {
    pub(crate) fn io(path: &str, error: io::Error) -> Self {
        Self::Io(path.into(), error)
    }
}

impl fmt::Display for SandboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside(path) => write!(f, "{path} is outside of the sandbox"),
            Self::Io(path, error) => write!(f, "{path}: {error}"),
        }
    }
}

impl std::error::Error for SandboxError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Outside(_) => None,
            Self::Io(_, error) => Some(error),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Sandbox {
    root: PathBuf,
}

impl Sandbox {
    /// The root must exist.
    pub fn new(root: impl AsRef<Path>) -> Result<Self, SandboxError> {
        let root = root.as_ref();
        root.canonicalize()
            .map(|root| Self { root })
            .map_err(|e| SandboxError::Io(root.display().to_string(), e))
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The real path of something that exists. Relative paths start at the root.
    pub fn resolve(&self, path: &str) -> Result<PathBuf, SandboxError> {
        let joined = normalise(&self.root.join(path));
        // Before the file system is asked: what exists outside is nobody's business.
        self.check(path, &joined)?;
        let real = joined
            .canonicalize()
            .map_err(|e| SandboxError::io(path, e))?;
        self.check(path, &real)?;
        Ok(real)
    }

    fn check(&self, given: &str, path: &Path) -> Result<(), SandboxError> {
        if cfg!(feature = "sandbox") && !path.starts_with(&self.root) {
            return Err(SandboxError::Outside(given.into()));
        }
        Ok(())
    }
}

/// Removes `.` and `..` by the text alone.
///
/// ```
/// use std::path::Path;
///
/// use mistralrs_agent_tools::sandbox::normalise;
///
/// assert_eq!(normalise(Path::new("/a/./b/../c")), Path::new("/a/c"));
/// ```
pub fn normalise(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_of_the_root() {
        assert_eq!(normalise(Path::new("/../../x")), Path::new("/x"));
        assert_eq!(normalise(Path::new("a/..")), Path::new(""));
    }

    #[cfg(feature = "sandbox")]
    #[test]
    fn outside_is_refused_whether_it_exists_or_not() {
        let sandbox = Sandbox::new("src").unwrap();
        for path in [
            "..",
            "../Cargo.toml",
            "/",
            "../none",
            "bin/../../Cargo.toml",
        ] {
            let error = sandbox.resolve(path).unwrap_err();
            assert!(matches!(error, SandboxError::Outside(_)), "{path}");
        }
    }

    #[test]
    fn inside_is_found() {
        let sandbox = Sandbox::new("src").unwrap();
        let path = sandbox.resolve("bin/../lib.rs").unwrap();
        assert_eq!(path, sandbox.root().join("lib.rs"));
        assert!(matches!(
            sandbox.resolve("none.rs"),
            Err(SandboxError::Io(..))
        ));
    }
}
