//! Blocks of 32 signed bytes with a common scale.

pub const BLOCK: usize = 32;

#[derive(Debug, Clone, PartialEq)]
pub struct Q8 {
    values: Vec<i8>,
    scales: Vec<f32>,
}

impl Q8 {
    /// Rounds to 255 steps in each block; the error is at most half a step.
    pub fn quantize(weights: &[f32]) -> Self {
        let mut values = Vec::with_capacity(weights.len());
        let mut scales = Vec::with_capacity(weights.len().div_ceil(BLOCK));
        for block in weights.chunks(BLOCK) {
            let largest = block.iter().fold(0.0f32, |max, w| max.max(w.abs()));
            let scale = largest / 127.0;
            let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
            // The cast saturates, so rounding cannot overflow.
            values.extend(block.iter().map(|w| (w * inverse).round() as i8));
            scales.push(scale);
        }
        Self { values, scales }
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Size in memory, to compare with the four bytes of a float.
    pub fn bytes(&self) -> usize {
        self.values.len() + 4 * self.scales.len()
    }

    /// Back to floats, on the GPU if there is one.
    pub fn dequantize(&self) -> Vec<f32> {
        #[cfg(feature = "cuda")]
        if let Ok(out) = crate::cuda::dequantize(&self.values, &self.scales, BLOCK) {
            return out;
        }
        self.dequantize_cpu()
    }

    /// The same on the CPU, in the manner of the features that are on.
    pub fn dequantize_cpu(&self) -> Vec<f32> {
        if cfg!(feature = "accelerate") {
            self.dequantize_lanes()
        } else if cfg!(feature = "metal") {
            self.dequantize_table()
        } else {
            self.dequantize_plain()
        }
    }

    fn dequantize_plain(&self) -> Vec<f32> {
        self.values
            .iter()
            .enumerate()
            .map(|(i, value)| f32::from(*value) * self.scales[i / BLOCK])
            .collect()
    }

    /// Eight values at a time, which the compiler turns to vector instructions.
    fn dequantize_lanes(&self) -> Vec<f32> {
        const LANES: usize = 8;
        let mut out = vec![0.0; self.len()];
        let blocks = self.values.chunks(BLOCK).zip(out.chunks_mut(BLOCK));
        for ((values, out), scale) in blocks.zip(&self.scales) {
            for (values, out) in values.chunks(LANES).zip(out.chunks_mut(LANES)) {
                for (value, out) in values.iter().zip(out) {
                    *out = f32::from(*value) * scale;
                }
            }
        }
        out
    }

    /// Looks the products up in a table of each block, as a GPU without fast conversion does.
    fn dequantize_table(&self) -> Vec<f32> {
        let mut out = Vec::with_capacity(self.len());
        for (values, scale) in self.values.chunks(BLOCK).zip(&self.scales) {
            let table: [f32; 256] = std::array::from_fn(|i| f32::from(i as u8 as i8) * scale);
            out.extend(values.iter().map(|value| table[usize::from(*value as u8)]));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(len: usize) -> Vec<f32> {
        (0..len).map(|i| (i as f32 * 0.37).sin() * 3.0).collect()
    }

    #[test]
    fn error_is_half_a_step() {
        let weights = weights(100);
        let back = Q8::quantize(&weights).dequantize();
        for (a, b) in weights.iter().zip(&back) {
            assert!((a - b).abs() <= 3.0 / 127.0 / 2.0 + 1e-6, "{a} {b}");
        }
    }

    #[test]
    fn all_ways_agree() {
        for len in [0, 1, 31, 32, 33, 100] {
            let q = Q8::quantize(&weights(len));
            assert_eq!(q.dequantize_plain(), q.dequantize_lanes());
            assert_eq!(q.dequantize_plain(), q.dequantize_table());
            assert_eq!(q.dequantize_plain(), q.dequantize());
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        assert_eq!(Q8::quantize(&[0.0; 40]).dequantize(), vec![0.0; 40]);
    }

    #[test]
    fn is_smaller_than_floats() {
        let q = Q8::quantize(&weights(320));
        assert_eq!((q.len(), q.bytes()), (320, 360));
        assert!(!q.is_empty());
    }
}
