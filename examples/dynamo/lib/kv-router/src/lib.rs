//! Which worker already holds the beginning of a prompt.

use std::collections::HashMap;

use dynamo_tokens::block_hashes;

/// Workers by the blocks that they hold.
#[derive(Debug, Default)]
pub struct Router {
    holders: HashMap<u64, Vec<usize>>,
}

impl Router {
    /// Note that a worker holds the blocks of a prompt.
    pub fn record(&mut self, worker: usize, tokens: &[u32], block_size: usize) {
        for hash in block_hashes(tokens, block_size) {
            self.holders.entry(hash).or_default().push(worker);
        }
    }

    /// Return the worker that holds most blocks from the beginning, and how many.
    pub fn best(&self, tokens: &[u32], block_size: usize) -> Option<(usize, usize)> {
        let held = |hash: &u64| {
            self.holders
                .get(hash)
                .and_then(|workers| workers.last().copied())
        };
        let found: Vec<usize> = block_hashes(tokens, block_size)
            .iter()
            .map_while(held)
            .collect();
        found.last().map(|worker| (*worker, found.len()))
    }
}

/// Whether the router reports metrics through the runtime.
pub const METRICS: bool = cfg!(feature = "metrics");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_beginning_wins() {
        let mut router = Router::default();
        router.record(1, &[1, 2], 2);
        router.record(2, &[1, 2, 3, 4], 2);
        assert_eq!(router.best(&[1, 2, 3, 4, 5, 6], 2), Some((2, 2)));
        assert_eq!(router.best(&[9, 9], 2), None);
    }
}
