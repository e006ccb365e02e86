//! Writes the C header into the source tree, as cbindgen does for the original.

use std::{env, fs, path::Path};

const HEADER: &str = "include/nvidia/dynamo_llm/llm_engine.h";

fn main() {
    println!("cargo:rerun-if-changed=src/lib.rs");
    println!("cargo:rerun-if-changed=build.rs");
    let root = env::var("CARGO_MANIFEST_DIR").unwrap();
    let source = fs::read_to_string(Path::new(&root).join("src/lib.rs")).unwrap();
    let declared = source
        .lines()
        .filter_map(|line| line.strip_prefix("pub extern \"C\" fn "));
    let mut text = String::from(
        "/* Written by build.rs from src/lib.rs. */\n#pragma once\n#include <stdint.h>\n\n",
    );
    for signature in declared {
        let name = signature.split('(').next().unwrap();
        text.push_str(&format!("uint32_t {name}(void);\n"));
    }
    let path = Path::new(&root).join(HEADER);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
