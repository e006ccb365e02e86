//! Has protoc compile kserve.proto. The original uses tonic-build; here its descriptor set is read by src/grpc.rs.

use std::path::PathBuf;
use std::process::Command;

const PROTOS: &str = "src/grpc/protos";

fn main() {
    println!("cargo:rerun-if-changed={PROTOS}");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=PROTOC");
    let protoc = std::env::var("PROTOC").unwrap_or_else(|_| "protoc".into());
    let output = PathBuf::from(std::env::var("OUT_DIR").unwrap()).join("kserve.bin");
    let done = Command::new(&protoc)
        .args(["--proto_path", PROTOS, "--descriptor_set_out"])
        .arg(&output)
        .arg("kserve.proto")
        .status();
    match done {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("Failed to compile proto files: protoc ended with {status}"),
        Err(error) => {
            panic!("Failed to compile proto files: Could not find `protoc` ({protoc}: {error})")
        }
    }
}
