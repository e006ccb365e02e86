//! With the feature `cuda`, compiles the kernel to PTX, which the library embeds.

use std::{env, path::PathBuf};

#[path = "../build_nvcc.rs"]
mod build_nvcc;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../build_nvcc.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    println!("cargo:rerun-if-changed=kernels");
    let nvcc = build_nvcc::Nvcc::find();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let ptx = out.join("paged_attention.ptx");
    nvcc.compile(&[
        "--ptx",
        "kernels/paged_attention.cu",
        "-o",
        &ptx.to_string_lossy(),
    ]);
}
