//! With the feature `flash-attn` (which implies `cuda`), compiles its kernel to PTX.

use std::{env, path::PathBuf};

#[path = "../build_nvcc.rs"]
mod build_nvcc;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../build_nvcc.rs");
    if env::var_os("CARGO_FEATURE_FLASH_ATTN").is_none() {
        return;
    }
    println!("cargo:rerun-if-changed=kernels");
    let nvcc = build_nvcc::Nvcc::find();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let ptx = out.join("flash_attention.ptx");
    nvcc.compile(&[
        "--ptx",
        "kernels/flash_attention.cu",
        "-o",
        &ptx.to_string_lossy(),
    ]);
}
