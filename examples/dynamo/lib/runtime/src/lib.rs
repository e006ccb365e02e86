//! Components, how they find each other, and how frames travel between them.

pub mod codec;
pub mod component;
pub mod etcd;

#[cfg(all(feature = "tokio-console", not(tokio_unstable)))]
compile_error!(
    "tokio-console needs --cfg tokio_unstable: .cargo/config.toml sets it, an exported RUSTFLAGS drops it"
);

/// Whether the whole workspace was compiled with `--cfg tokio_unstable`.
pub const TOKIO_UNSTABLE: bool = cfg!(tokio_unstable);
