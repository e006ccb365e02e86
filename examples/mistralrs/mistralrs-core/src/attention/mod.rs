//! Attention of one query over cached keys and values.

mod cache;
mod flash;
mod split;

pub use cache::KvCache;

/// Softmax-weighted mean of the values; zeros if there are none.
///
/// The features `flash-attn-v3` and `flash-attn` choose the algorithm.
pub fn attend(query: &[f32], keys: &[f32], values: &[f32]) -> Vec<f32> {
    if cfg!(feature = "flash-attn-v3") {
        split::attend(query, keys, values)
    } else if cfg!(feature = "flash-attn") {
        flash::attend(query, keys, values)
    } else {
        naive(query, keys, values)
    }
}

/// The names of the CUDA kernels of the feature `flash-attn`.
pub fn flash_kernels() -> Vec<&'static str> {
    flash::kernels()
}

fn score(query: &[f32], key: &[f32]) -> f32 {
    crate::ops::dot(query, key) / (query.len() as f32).sqrt()
}

/// All scores first, then the softmax, then the sum.
fn naive(query: &[f32], keys: &[f32], values: &[f32]) -> Vec<f32> {
    let dim = query.len();
    let mut weights: Vec<f32> = keys.chunks_exact(dim).map(|k| score(query, k)).collect();
    let largest = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for weight in &mut weights {
        *weight = (*weight - largest).exp();
    }
    let total: f32 = weights.iter().sum();
    let mut out = vec![0.0; dim];
    for (weight, value) in weights.iter().zip(values.chunks_exact(dim)) {
        for (out, value) in out.iter_mut().zip(value) {
            *out += weight / total * value;
        }
    }
    out
}

/// A part of a softmax-weighted sum, together with what it takes to merge it.
#[derive(Debug, Clone)]
struct Partial {
    largest: f32,
    weight: f32,
    sum: Vec<f32>,
}

impl Partial {
    fn new(dim: usize) -> Self {
        Self {
            largest: f32::NEG_INFINITY,
            weight: 0.0,
            sum: vec![0.0; dim],
        }
    }

    /// Takes rows in, and corrects what is there if one of them scores higher.
    fn add(&mut self, query: &[f32], keys: &[f32], values: &[f32]) {
        let dim = query.len();
        let scores: Vec<f32> = keys.chunks_exact(dim).map(|k| score(query, k)).collect();
        let top = scores.iter().copied().fold(self.largest, f32::max);
        self.rescale(top);
        for (score, value) in scores.iter().zip(values.chunks_exact(dim)) {
            let share = (score - top).exp();
            self.weight += share;
            for (sum, value) in self.sum.iter_mut().zip(value) {
                *sum += share * value;
            }
        }
    }

    fn rescale(&mut self, top: f32) {
        if self.weight > 0.0 {
            let correction = (self.largest - top).exp();
            self.weight *= correction;
            self.sum.iter_mut().for_each(|sum| *sum *= correction);
        }
        self.largest = top;
    }

    fn merge(mut self, mut other: Self) -> Self {
        let top = self.largest.max(other.largest);
        self.rescale(top);
        other.rescale(top);
        self.weight += other.weight;
        for (sum, other) in self.sum.iter_mut().zip(&other.sum) {
            *sum += other;
        }
        self
    }

    fn finish(mut self) -> Vec<f32> {
        if self.weight > 0.0 {
            self.sum.iter_mut().for_each(|sum| *sum /= self.weight);
        }
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_agree() {
        const DIM: usize = 4;
        let query = [0.5, -1.0, 2.0, 0.25];
        for rows in [0, 1, 15, 16, 17, 63, 64, 65, 200] {
            let keys: Vec<f32> = (0..rows * DIM)
                .map(|i| (i as f32 * 0.7).sin() * 4.0)
                .collect();
            let values: Vec<f32> = (0..rows * DIM).map(|i| (i as f32 * 0.3).cos()).collect();
            let expected = naive(&query, &keys, &values);
            for other in [
                flash::attend(&query, &keys, &values),
                split::attend(&query, &keys, &values),
                attend(&query, &keys, &values),
            ] {
                for (a, b) in expected.iter().zip(&other) {
                    assert!((a - b).abs() < 1e-5, "{rows} rows: {a} {b}");
                }
            }
        }
    }

    #[test]
    fn a_clear_match_is_copied() {
        let keys = [9.0, 0.0, 0.0, 9.0];
        let out = attend(&[9.0, 0.0], &keys, &[1.0, 2.0, 3.0, 4.0]);
        assert!((out[0] - 1.0).abs() < 1e-6 && (out[1] - 2.0).abs() < 1e-6);
    }

    #[test]
    fn kernels_fit_the_build() {
        let expected: &[&str] = if cfg!(feature = "flash-attn") {
            &["flash_attention"]
        } else {
            &[]
        };
        assert_eq!(flash_kernels(), expected);
    }
}
