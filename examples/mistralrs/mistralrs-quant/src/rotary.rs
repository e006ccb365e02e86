//! Rotary position embedding.

/// Turns each row (of `dim` values) by its position, on the GPU if there is one.
///
/// # Panics
///
/// If `dim` is odd or 0, or the rows are not whole.
pub fn rotate(rows: &mut [f32], dim: usize, base: f32) {
    assert!(dim > 0 && dim % 2 == 0, "rotation needs an even dimension");
    assert_eq!(rows.len() % dim, 0, "the last row is not whole");
    #[cfg(feature = "cuda")]
    if let Ok(out) = crate::cuda::rotate(rows, dim, base) {
        rows.copy_from_slice(&out);
        return;
    }
    rotate_cpu(rows, dim, base);
}

fn rotate_cpu(rows: &mut [f32], dim: usize, base: f32) {
    for (position, row) in rows.chunks_exact_mut(dim).enumerate() {
        let (low, high) = row.split_at_mut(dim / 2);
        for (i, (a, b)) in low.iter_mut().zip(high).enumerate() {
            let angle = position as f32 * base.powf(-2.0 * i as f32 / dim as f32);
            let (sine, cosine) = angle.sin_cos();
            (*a, *b) = (*a * cosine - *b * sine, *a * sine + *b * cosine);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_row_stays_and_lengths_too() {
        let mut rows: Vec<f32> = (1..=12).map(|i| i as f32).collect();
        let before = rows.clone();
        rotate(&mut rows, 4, 10_000.0);
        assert_eq!(rows[..4], before[..4]);
        assert_ne!(rows[4..], before[4..]);
        let length = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>();
        for (a, b) in rows.chunks(4).zip(before.chunks(4)) {
            assert!((length(a) - length(b)).abs() < 1e-3);
        }
    }

    #[test]
    fn gpu_or_not_is_the_same() {
        let mut a: Vec<f32> = (0..64).map(|i| (i as f32).cos()).collect();
        let mut b = a.clone();
        rotate(&mut a, 8, 100.0);
        rotate_cpu(&mut b, 8, 100.0);
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4));
    }
}
