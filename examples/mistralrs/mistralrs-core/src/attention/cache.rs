//! Keys and values of the tokens so far: in blocks if the paged attention is compiled
//! in (features `cuda` and `metal`), otherwise in one piece.

#[cfg(any(feature = "cuda", feature = "metal"))]
mod storage {
    use mistralrs_paged_attn::{PagedCache, Sequence};

    const BLOCK_ROWS: usize = 16;

    #[derive(Debug)]
    pub struct Rows {
        cache: PagedCache,
        sequence: Sequence,
    }

    impl Rows {
        pub fn new(max_rows: usize, dim: usize) -> Self {
            Self {
                cache: PagedCache::new(max_rows.div_ceil(BLOCK_ROWS), BLOCK_ROWS, dim),
                sequence: Sequence::default(),
            }
        }

        pub fn push(&mut self, row: &[f32]) {
            self.cache
                .append(&mut self.sequence, row)
                .expect("the cache has room for max_rows");
        }

        pub fn all(&self) -> std::borrow::Cow<'_, [f32]> {
            self.cache.gather(&self.sequence).into()
        }
    }
}

#[cfg(not(any(feature = "cuda", feature = "metal")))]
mod storage {
    #[derive(Debug)]
    pub struct Rows(Vec<f32>);

    impl Rows {
        pub fn new(max_rows: usize, dim: usize) -> Self {
            Self(Vec::with_capacity(max_rows * dim))
        }

        pub fn push(&mut self, row: &[f32]) {
            self.0.extend_from_slice(row);
        }

        pub fn all(&self) -> std::borrow::Cow<'_, [f32]> {
            (&self.0).into()
        }
    }
}

#[derive(Debug)]
pub struct KvCache {
    keys: storage::Rows,
    values: storage::Rows,
    rows: usize,
    max_rows: usize,
}

impl KvCache {
    pub fn new(max_rows: usize, dim: usize) -> Self {
        Self {
            keys: storage::Rows::new(max_rows, dim),
            values: storage::Rows::new(max_rows, dim),
            rows: 0,
            max_rows,
        }
    }

    /// # Panics
    ///
    /// If the cache is full.
    pub fn push(&mut self, key: &[f32], value: &[f32]) {
        assert!(self.rows < self.max_rows, "the cache is full");
        self.keys.push(key);
        self.values.push(value);
        self.rows += 1;
    }

    pub fn attend(&self, query: &[f32]) -> Vec<f32> {
        super::attend(query, &self.keys.all(), &self.values.all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_rows_are_attended_to() {
        let mut cache = KvCache::new(40, 2);
        let rows: Vec<f32> = (0..80).map(|i| (i as f32).sin()).collect();
        for row in rows.chunks(2) {
            cache.push(row, row);
        }
        let expected = super::super::attend(&[1.0, 2.0], &rows, &rows);
        assert_eq!(cache.attend(&[1.0, 2.0]), expected);
    }

    #[test]
    #[should_panic(expected = "full")]
    fn rows_are_limited() {
        let mut cache = KvCache::new(1, 1);
        cache.push(&[1.0], &[1.0]);
        cache.push(&[1.0], &[1.0]);
    }
}
