//! The helper of the build scripts exists three times; the copies must not drift apart.

use std::fs;

#[test]
fn copies_are_equal() {
    let own = fs::read_to_string("build_nvcc.rs").unwrap();
    for other in ["mistralrs-paged-attn", "mistralrs-core"] {
        let copy = fs::read_to_string(format!("../{other}/build_nvcc.rs")).unwrap();
        assert!(own == copy, "{other}/build_nvcc.rs differs");
    }
}
