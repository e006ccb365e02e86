//! Prompts in, answers out.

pub mod backend;
pub mod grpc;
pub mod http;
pub mod preprocessor;

/// What was compiled in.
pub fn features() -> Vec<&'static str> {
    let all = [
        ("cuda", cfg!(feature = "cuda")),
        ("block-manager", cfg!(feature = "block-manager")),
        ("integration", cfg!(feature = "integration")),
        ("media-nixl", cfg!(feature = "media-nixl")),
        ("media-ffmpeg", cfg!(feature = "media-ffmpeg")),
    ];
    all.into_iter()
        .filter(|(_, on)| *on)
        .map(|(name, _)| name)
        .collect()
}
