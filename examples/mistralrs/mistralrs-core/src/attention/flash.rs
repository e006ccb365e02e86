//! One pass over the rows in tiles: memory for one tile of scores is enough.

use super::Partial;

const TILE: usize = 16;

pub(super) fn attend(query: &[f32], keys: &[f32], values: &[f32]) -> Vec<f32> {
    let tile = TILE * query.len();
    let mut partial = Partial::new(query.len());
    for (keys, values) in keys.chunks(tile).zip(values.chunks(tile)) {
        partial.add(query, keys, values);
    }
    partial.finish()
}

/// The names of the kernels in the PTX that the build script made.
pub(super) fn kernels() -> Vec<&'static str> {
    #[cfg(feature = "flash-attn")]
    const PTX: &str = include_str!(concat!(env!("OUT_DIR"), "/flash_attention.ptx"));
    #[cfg(not(feature = "flash-attn"))]
    const PTX: &str = "";
    PTX.split(".entry ")
        .skip(1)
        .filter_map(|rest| rest.split('(').next())
        .map(str::trim)
        .collect()
}
