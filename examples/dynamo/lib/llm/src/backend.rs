//! Sequences of tokens as a backend sees them.

use dynamo_tokens::block_hashes;

/// Return how many full blocks a prompt has.
pub fn blocks(tokens: &[u32], block_size: usize) -> usize {
    block_hashes(tokens, block_size).len()
}
