//! Blockwise 8-bit quantisation, rotary embedding and the sum over ranks.
//!
//! ```
//! use mistralrs_quant::Q8;
//!
//! let weights = [0.0, 0.5, -1.0, 0.25];
//! let back = Q8::quantize(&weights).dequantize();
//! assert!((back[2] + 1.0).abs() < 0.01);
//! ```

#[cfg(feature = "cuda")]
mod cuda;
pub mod distributed;
pub mod q8;
pub mod rotary;

pub use q8::Q8;

/// The back-ends that this crate was built with.
pub fn backends() -> Vec<&'static str> {
    [
        ("cuda", cfg!(feature = "cuda")),
        ("nccl", cfg!(feature = "nccl")),
        ("metal", cfg!(feature = "metal")),
        ("accelerate", cfg!(feature = "accelerate")),
        ("ring", cfg!(feature = "ring")),
    ]
    .into_iter()
    .filter_map(|(name, on)| on.then_some(name))
    .collect()
}

/// State of CUDA in this build and on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CudaStatus {
    NotBuilt,
    /// Built, but there is nothing to run it on.
    NoDevice {
        arch: &'static str,
        reason: String,
    },
    Ready {
        arch: &'static str,
        devices: usize,
    },
}

impl CudaStatus {
    pub fn detect() -> Self {
        #[cfg(feature = "cuda")]
        {
            cuda::status()
        }
        #[cfg(not(feature = "cuda"))]
        {
            Self::NotBuilt
        }
    }
}

impl std::fmt::Display for CudaStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotBuilt => f.write_str("not built"),
            Self::NoDevice { arch, reason } => {
                write!(f, "built for {arch}, no GPU here ({reason})")
            }
            Self::Ready { arch, devices } => write!(f, "built for {arch}, {devices} GPU(s)"),
        }
    }
}

/// The release of the CUDA compiler that built the kernels.
pub fn nvcc_release() -> Option<&'static str> {
    option_env!("MISTRALRS_CUDA_RELEASE")
}

macro_rules! pinned_releases {
    ($($feature:literal = $number:literal),* $(,)?) => {
        /// The newest CUDA release among the `cuda-*` features that are on, as
        /// major * 1000 + minor * 10.
        pub fn pinned_cuda_release() -> Option<u32> {
            let releases: &[(bool, u32)] = &[$((cfg!(feature = $feature), $number)),*];
            releases.iter().filter(|(on, _)| *on).map(|(_, number)| *number).max()
        }
    };
}
pinned_releases!(
    "cuda-11040" = 11040,
    "cuda-11050" = 11050,
    "cuda-11060" = 11060,
    "cuda-11070" = 11070,
    "cuda-11080" = 11080,
    "cuda-12000" = 12000,
    "cuda-12010" = 12010,
    "cuda-12020" = 12020,
    "cuda-12030" = 12030,
    "cuda-12040" = 12040,
    "cuda-12050" = 12050,
    "cuda-12060" = 12060,
    "cuda-12080" = 12080,
    "cuda-12090" = 12090,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_fits_the_build() {
        let status = CudaStatus::detect();
        assert_eq!(status == CudaStatus::NotBuilt, !cfg!(feature = "cuda"));
        assert_eq!(nvcc_release().is_some(), cfg!(feature = "cuda"));
        println!("cuda: {status}");
    }

    #[test]
    fn status_text() {
        let status = CudaStatus::Ready {
            arch: "sm_80",
            devices: 2,
        };
        assert_eq!(status.to_string(), "built for sm_80, 2 GPU(s)");
    }

    #[test]
    fn nccl_implies_cuda() {
        let backends = backends();
        assert!(!backends.contains(&"nccl") || backends.contains(&"cuda"));
    }
}
