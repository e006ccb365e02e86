//! With the feature `cuda`, compiles the kernels to a static library.

use std::{env, fs, path::Path, path::PathBuf, thread};

#[path = "../build_nvcc.rs"]
mod build_nvcc;

use build_nvcc::Nvcc;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../build_nvcc.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    println!("cargo:rerun-if-changed=kernels");
    let nvcc = Nvcc::find();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));

    let mut sources = Vec::new();
    collect(Path::new("kernels"), &mut sources);
    sources.sort();
    // Directories tell the kernels apart, as two may have the same file name.
    let objects: Vec<PathBuf> = (0..sources.len())
        .map(|i| {
            out.join(format!(
                "kernel{i}.{}",
                if cfg!(windows) { "obj" } else { "o" }
            ))
        })
        .collect();
    thread::scope(|scope| {
        for (source, object) in sources.iter().zip(&objects) {
            let nvcc = &nvcc;
            scope.spawn(move || {
                let (source, object) = (source.to_string_lossy(), object.to_string_lossy());
                nvcc.compile(&["-Ikernels", "-c", &source, "-o", &object]);
            });
        }
    });
    let library = if cfg!(windows) {
        "mistralrsquant.lib"
    } else {
        "libmistralrsquant.a"
    };
    nvcc.archive(&objects, &out.join(library));

    println!("cargo:rustc-link-search=native={}", out.display());
    println!("cargo:rustc-link-lib=static=mistralrsquant");
    match nvcc.library_dir() {
        Some(dir) => println!("cargo:rustc-link-search=native={}", dir.display()),
        None => println!(
            "cargo:warning=no static CUDA runtime beside nvcc, trying the linker's own directories"
        ),
    }
    println!("cargo:rustc-link-lib=cudart_static");
    if cfg!(target_os = "linux") {
        for library in ["stdc++", "dl", "rt", "pthread"] {
            println!("cargo:rustc-link-lib={library}");
        }
    }
    println!("cargo:rustc-env=MISTRALRS_CUDA_ARCH={}", nvcc.arch);
    println!("cargo:rustc-env=MISTRALRS_CUDA_RELEASE={}", nvcc.release());
}

fn collect(dir: &Path, sources: &mut Vec<PathBuf>) {
    let entries =
        fs::read_dir(dir).unwrap_or_else(|e| panic!("cannot list {}: {e}", dir.display()));
    for entry in entries {
        let path = entry.expect("directory entry").path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "cu") {
            sources.push(path);
        }
    }
}
