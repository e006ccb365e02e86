//! Tokens in blocks, each block known by a hash of all that came before.

/// Cut tokens into full blocks and return the running hash after each.
pub fn block_hashes(tokens: &[u32], block_size: usize) -> Vec<u64> {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut hashes = Vec::new();
    for block in tokens.chunks_exact(block_size.max(1)) {
        for byte in block.iter().flat_map(|token| token.to_le_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        hashes.push(hash);
    }
    hashes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_beginnings_have_equal_hashes() {
        let (one, two) = (
            block_hashes(&[1, 2, 3, 4, 5], 2),
            block_hashes(&[1, 2, 3, 9], 2),
        );
        assert_eq!(
            (one.len(), two.len(), one[0] == two[0], one[1] == two[1]),
            (2, 2, true, false)
        );
    }
}
