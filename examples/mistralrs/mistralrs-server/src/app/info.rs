//! Facts about the build, one `key=value` a line.

use std::fmt::Write as _;

use mistralrs_core::{backends, quant, CudaStatus};

/// The features of this package that are on.
fn features() -> Vec<&'static str> {
    [
        ("cuda", cfg!(feature = "cuda")),
        ("flash-attn", cfg!(feature = "flash-attn")),
        ("cudnn", cfg!(feature = "cudnn")),
        ("mkl", cfg!(feature = "mkl")),
        ("nccl", cfg!(feature = "nccl")),
        ("metal", cfg!(feature = "metal")),
        ("acceleate", cfg!(feature = "acceleate")),
        ("ring", cfg!(feature = "ring")),
        ("pyo3-tools", cfg!(feature = "pyo3-tools")),
        ("tui-agent", cfg!(feature = "tui-agent")),
        ("mcp", cfg!(feature = "mcp")),
        ("mcp-server", cfg!(feature = "mcp-server")),
    ]
    .into_iter()
    .filter_map(|(name, on)| on.then_some(name))
    .collect()
}

pub fn text(program: &str) -> String {
    let mut out = String::new();
    let mut line = |key: &str, value: &str| {
        writeln!(out, "{key}={value}").expect("a string takes all text");
    };
    line("program", program);
    line("version", env!("CARGO_PKG_VERSION"));
    line("features", &features().join(","));
    // What core has compiled in, which another package may have asked for.
    line("backends", &backends().join(","));
    line("opt_level", env!("MISTRALRS_BUILD_OPT_LEVEL"));
    line("debug_info", env!("MISTRALRS_BUILD_DEBUG"));
    let assertions = cfg!(debug_assertions).to_string();
    line("debug_assertions", &assertions);
    line("target", env!("MISTRALRS_BUILD_TARGET"));
    line("cuda", &CudaStatus::detect().to_string());
    line("nvcc", quant::nvcc_release().unwrap_or("none"));
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_line_is_a_pair() {
        let text = super::text("prog");
        assert!(text.lines().all(|line| line.contains('=')));
        assert!(text.starts_with("program=prog\nversion="));
    }

    #[test]
    fn features_reach_the_core() {
        let backends = mistralrs_core::backends();
        for feature in super::features() {
            let name = match feature {
                "acceleate" => "accelerate",
                "pyo3-tools" | "tui-agent" | "mcp" | "mcp-server" => continue,
                other => other,
            };
            assert!(backends.contains(&name), "{feature}");
        }
    }
}
