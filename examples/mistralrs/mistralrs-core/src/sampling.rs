//! Chooses the next token.

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplingParams {
    /// 0 takes the likeliest token always.
    pub temperature: f32,
    /// Keeps this many of the likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// Keeps the likeliest tokens up to this sum of probabilities.
    pub top_p: f32,
    pub seed: u64,
}

impl Default for SamplingParams {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            seed: 0,
        }
    }
}

/// A step of the SplitMix64 generator.
pub fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[derive(Debug, Clone)]
pub struct Sampler {
    params: SamplingParams,
    state: u64,
}

impl Sampler {
    pub fn new(params: SamplingParams) -> Self {
        Self {
            params,
            state: params.seed,
        }
    }

    /// The index of the chosen logit. `-inf` is never chosen unless all are.
    ///
    /// # Panics
    ///
    /// If there are no logits.
    pub fn sample(&mut self, logits: &[f32]) -> usize {
        let mut order: Vec<usize> = (0..logits.len()).collect();
        // Stable, so of equal logits the first wins.
        order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
        if self.params.temperature <= 0.0 {
            return order[0];
        }
        if self.params.top_k > 0 {
            order.truncate(self.params.top_k);
        }
        let top = logits[order[0]];
        let mut weights: Vec<f32> = order
            .iter()
            .map(|i| ((logits[*i] - top) / self.params.temperature).exp())
            .collect();
        let limit = weights.iter().sum::<f32>() * self.params.top_p;
        let mut sum = 0.0;
        let kept = weights.iter().position(|weight| {
            sum += weight;
            sum >= limit
        });
        weights.truncate(kept.map_or(weights.len(), |i| i + 1));
        let total: f32 = weights.iter().sum();
        let fraction = (split_mix(&mut self.state) >> 40) as f32 / (1u64 << 24) as f32;
        let mut left = fraction * total;
        for (i, weight) in order.iter().zip(&weights) {
            left -= weight;
            if left < 0.0 {
                return *i;
            }
        }
        order[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(params: SamplingParams, logits: &[f32]) -> Vec<usize> {
        let mut sampler = Sampler::new(params);
        (0..2_000).map(|_| sampler.sample(logits)).collect()
    }

    #[test]
    fn zero_temperature_is_greedy() {
        let drawn = draw(SamplingParams::default(), &[0.0, 3.0, 3.0, 1.0]);
        assert!(drawn.iter().all(|i| *i == 1));
    }

    #[test]
    fn frequencies_follow_the_softmax() {
        let params = SamplingParams {
            temperature: 1.0,
            ..Default::default()
        };
        let logits = [0.0, 3.0f32.ln(), f32::NEG_INFINITY];
        let drawn = draw(params, &logits);
        let ones = drawn.iter().filter(|i| **i == 1).count();
        assert!((1_400..1_600).contains(&ones), "{ones}");
        assert!(!drawn.contains(&2));
        assert_eq!(drawn, draw(params, &logits));
    }

    #[test]
    fn limits() {
        let logits = [1.0, 1.1, 0.9, 0.0];
        for (top_k, top_p) in [(1, 1.0), (0, 0.01)] {
            let params = SamplingParams {
                temperature: 1.0,
                top_k,
                top_p,
                seed: 7,
            };
            assert!(draw(params, &logits).iter().all(|i| *i == 1));
        }
    }
}
