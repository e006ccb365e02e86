//! Hands facts of the build to `--info`.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for name in ["OPT_LEVEL", "DEBUG", "TARGET"] {
        let value = env::var(name).unwrap_or_else(|_| "unknown".into());
        println!("cargo:rustc-env=MISTRALRS_BUILD_{name}={value}");
    }
}
