//! The engine of the scale model: a toy language model that is small and deterministic,
//! with the parts (attention, quantisation, sampling, back-ends) of a large one.
//!
//! ```
//! use mistralrs_core::{GenerateParams, ToyModel};
//!
//! let model = ToyModel::plain("toy")?;
//! let answer = model.generate("What is a lock file?", &GenerateParams::default());
//! assert!(!answer.text.is_empty());
//! # Ok::<(), mistralrs_core::ModelError>(())
//! ```

pub mod attention;
pub mod gguf;
pub mod model;
pub mod multimodal;
#[cfg(feature = "utoipa")]
pub mod openapi;
pub mod ops;
pub mod sampling;
pub mod tokenizer;
pub mod utils;

pub use mistralrs_mcp as mcp;
pub use mistralrs_quant::{self as quant, CudaStatus};
pub use model::{Completion, FinishReason, GenerateParams, ModelError, ToyModel};
pub use sampling::SamplingParams;

pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The back-ends that are compiled in, by the names of the features of this crate.
pub fn backends() -> Vec<&'static str> {
    [
        ("cuda", cfg!(feature = "cuda")),
        ("flash-attn", cfg!(feature = "flash-attn")),
        ("flash-attn-v3", cfg!(feature = "flash-attn-v3")),
        ("cudnn", cfg!(feature = "cudnn")),
        ("mkl", cfg!(feature = "mkl")),
        ("nccl", cfg!(feature = "nccl")),
        ("metal", cfg!(feature = "metal")),
        ("accelerate", cfg!(feature = "accelerate")),
        ("ring", cfg!(feature = "ring")),
    ]
    .into_iter()
    .filter_map(|(name, on)| on.then_some(name))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_of_the_quantisation_are_ours_too() {
        let own = backends();
        for name in quant::backends() {
            assert!(own.contains(&name), "{name}");
        }
    }

    #[test]
    fn cuda_is_implied_by_all_but_cudnn() {
        let own = backends();
        let needs_cuda = ["flash-attn", "flash-attn-v3", "nccl"];
        if own.iter().any(|name| needs_cuda.contains(name)) {
            assert!(own.contains(&"cuda"));
        }
    }
}
