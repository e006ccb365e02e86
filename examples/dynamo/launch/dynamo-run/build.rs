//! Puts the git revision into the program, and says where CUDA is at hand but was not asked for.

use std::process::Command;

fn main() {
    let git = |arguments: &[&str]| -> Option<String> {
        let done = Command::new("git").args(arguments).output().ok()?;
        done.status
            .success()
            .then(|| String::from_utf8_lossy(&done.stdout).trim().to_string())
    };
    println!("cargo:rerun-if-changed=build.rs");
    // The reflog moves with every commit and checkout; HEAD itself only says which branch it is.
    if let Some(moves) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={moves}");
    }
    let revision =
        git(&["describe", "--always", "--dirty=-edited"]).unwrap_or_else(|| "unknown".into());
    println!("cargo:rustc-env=DYNAMO_REVISION={revision}");
    let is_asked = std::env::var_os("CARGO_FEATURE_CUDA").is_some();
    if !is_asked && Command::new("nvcc").arg("--version").output().is_ok() {
        println!("cargo:warning=CUDA is at hand but not enabled: --features cuda");
    }
}
