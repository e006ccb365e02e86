//! Memory that can be registered for transfers.

/// A region of memory.
#[derive(Debug)]
pub struct Region(Vec<u8>);

impl Region {
    pub fn new(bytes: usize) -> Self {
        Self(vec![0; bytes])
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_has_its_size() {
        assert_eq!(Region::new(64).len(), 64);
    }

    #[cfg(feature = "testing-cuda")]
    #[test]
    fn a_gpu_is_here() {
        assert!(
            std::path::Path::new("/dev/nvidia0").exists(),
            "no GPU: run with --no-default-features"
        );
    }
}
