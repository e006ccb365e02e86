//! The tools on real files.

use std::{
    env, fs,
    path::PathBuf,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use mistralrs_agent_tools::{cat, grep, ls, Sandbox};

struct Tree {
    path: PathBuf,
    sandbox: Sandbox,
}

impl Tree {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("agent-tools-{}-{number}", process::id()));
        fs::create_dir_all(path.join("root/sub")).unwrap();
        fs::write(path.join("secret"), "secret").unwrap();
        fs::write(path.join("root/text"), "one\ntwo\ntwo and three\n").unwrap();
        let sandbox = Sandbox::new(path.join("root")).unwrap();
        Self { path, sandbox }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[test]
fn list_read_and_find() {
    let tree = Tree::new();
    assert_eq!(ls(&tree.sandbox, ".").unwrap(), ["sub/", "text"]);
    assert!(cat(&tree.sandbox, "sub/../text")
        .unwrap()
        .starts_with("one"));
    let found = grep(&tree.sandbox, "two", "text").unwrap();
    assert_eq!(found, [(2, "two".into()), (3, "two and three".into())]);
    assert!(cat(&tree.sandbox, "none").is_err());
    assert!(cat(&tree.sandbox, "sub").is_err());
}

#[cfg(all(unix, feature = "sandbox"))]
#[test]
fn links_do_not_lead_out() {
    let tree = Tree::new();
    std::os::unix::fs::symlink(tree.path.join("secret"), tree.path.join("root/link")).unwrap();
    let error = cat(&tree.sandbox, "link").unwrap_err();
    assert_eq!(error.to_string(), "link is outside of the sandbox");
}
