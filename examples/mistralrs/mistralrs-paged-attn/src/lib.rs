//! A key/value cache in blocks. A sequence takes blocks as it grows and gives them back
//! at its end, so memory is not reserved for the longest possible sequence.
//!
//! ```
//! use mistralrs_paged_attn::{PagedCache, Sequence};
//!
//! let mut cache = PagedCache::new(4, 2, 3);
//! let mut sequence = Sequence::default();
//! cache.append(&mut sequence, &[1.0, 2.0, 3.0])?;
//! assert_eq!(cache.gather(&sequence), [1.0, 2.0, 3.0]);
//! # Ok::<(), mistralrs_paged_attn::OutOfBlocks>(())
//! ```

use std::fmt;

#[cfg(feature = "cuda")]
pub mod ptx;

/// The back-ends that this crate was built with.
pub fn backends() -> Vec<&'static str> {
    [
        ("cuda", cfg!(feature = "cuda")),
        ("metal", cfg!(feature = "metal")),
    ]
    .into_iter()
    .filter_map(|(name, on)| on.then_some(name))
    .collect()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutOfBlocks {
    pub blocks: usize,
}

impl fmt::Display for OutOfBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "all {} blocks of the cache are taken", self.blocks)
    }
}

impl std::error::Error for OutOfBlocks {}

/// The blocks that hold the rows of one sequence.
#[derive(Debug, Default)]
pub struct Sequence {
    table: Vec<usize>,
    rows: usize,
}

impl Sequence {
    pub fn len(&self) -> usize {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }
}

#[derive(Debug)]
pub struct PagedCache {
    data: Vec<f32>,
    free: Vec<usize>,
    blocks: usize,
    block_rows: usize,
    dim: usize,
}

impl PagedCache {
    /// A cache of `blocks` blocks with `block_rows` rows of `dim` values.
    ///
    /// # Panics
    ///
    /// If `block_rows` or `dim` is 0.
    pub fn new(blocks: usize, block_rows: usize, dim: usize) -> Self {
        assert!(block_rows > 0 && dim > 0, "blocks cannot be empty");
        Self {
            data: vec![0.0; blocks * block_rows * dim],
            free: (0..blocks).rev().collect(),
            blocks,
            block_rows,
            dim,
        }
    }

    pub fn free_blocks(&self) -> usize {
        self.free.len()
    }

    /// Adds a row at the end of the sequence.
    ///
    /// # Panics
    ///
    /// If the row does not have `dim` values.
    pub fn append(&mut self, sequence: &mut Sequence, row: &[f32]) -> Result<(), OutOfBlocks> {
        assert_eq!(row.len(), self.dim, "row of the wrong length");
        if sequence.rows == sequence.table.len() * self.block_rows {
            let block = self.free.pop().ok_or(OutOfBlocks {
                blocks: self.blocks,
            })?;
            sequence.table.push(block);
        }
        let start = self.index(sequence, sequence.rows);
        self.data[start..start + self.dim].copy_from_slice(row);
        sequence.rows += 1;
        Ok(())
    }

    /// Gives the blocks of a sequence back.
    pub fn release(&mut self, sequence: Sequence) {
        self.free.extend(sequence.table);
    }

    /// All rows in order, as one slice of memory.
    pub fn gather(&self, sequence: &Sequence) -> Vec<f32> {
        if cfg!(feature = "metal") {
            self.gather_blocks(sequence)
        } else {
            self.gather_rows(sequence)
        }
    }

    /// As the kernel does: every row on its own.
    fn gather_rows(&self, sequence: &Sequence) -> Vec<f32> {
        let mut out = Vec::with_capacity(sequence.rows * self.dim);
        for row in 0..sequence.rows {
            let start = self.index(sequence, row);
            out.extend_from_slice(&self.data[start..start + self.dim]);
        }
        out
    }

    /// Copies whole blocks, and cuts what the last one has too much.
    fn gather_blocks(&self, sequence: &Sequence) -> Vec<f32> {
        let size = self.block_rows * self.dim;
        let mut out = Vec::with_capacity(sequence.table.len() * size);
        for block in &sequence.table {
            out.extend_from_slice(&self.data[block * size..(block + 1) * size]);
        }
        out.truncate(sequence.rows * self.dim);
        out
    }

    /// The counterpart of `cache_index` in `kernels/layout.cuh`.
    fn index(&self, sequence: &Sequence, row: usize) -> usize {
        let slot = sequence.table[row / self.block_rows] * self.block_rows;
        (slot + row % self.block_rows) * self.dim
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(i: usize) -> [f32; 2] {
        [i as f32, -(i as f32)]
    }

    #[test]
    fn both_gathers_agree_on_interleaved_sequences() {
        let mut cache = PagedCache::new(6, 3, 2);
        let (mut a, mut b) = (Sequence::default(), Sequence::default());
        for i in 0..7 {
            cache.append(&mut a, &row(i)).unwrap();
            cache.append(&mut b, &row(100 + i)).unwrap();
        }
        for (sequence, first) in [(&a, 0), (&b, 100)] {
            let expected: Vec<f32> = (first..first + 7).flat_map(row).collect();
            assert_eq!(cache.gather_rows(sequence), expected);
            assert_eq!(cache.gather_blocks(sequence), expected);
        }
        assert_eq!((a.len(), a.is_empty()), (7, false));
    }

    #[test]
    fn blocks_run_out_and_come_back() {
        let mut cache = PagedCache::new(1, 2, 2);
        let mut a = Sequence::default();
        cache.append(&mut a, &row(0)).unwrap();
        cache.append(&mut a, &row(1)).unwrap();
        let error = cache.append(&mut a, &row(2)).unwrap_err();
        assert_eq!(error, OutOfBlocks { blocks: 1 });
        assert_eq!(cache.free_blocks(), 0);
        cache.release(a);
        assert_eq!(cache.free_blocks(), 1);
        cache.append(&mut Sequence::default(), &row(3)).unwrap();
    }
}
