//! Products of matrices and convolution. Features choose between equivalent algorithms.

/// `matrix` (row by row) times `vector`.
///
/// # Panics
///
/// If the matrix does not have whole rows of the length of the vector.
pub fn matvec(matrix: &[f32], vector: &[f32]) -> Vec<f32> {
    assert!(!vector.is_empty(), "matvec needs columns");
    assert_eq!(matrix.len() % vector.len(), 0, "the last row is not whole");
    if cfg!(any(feature = "nccl", feature = "ring")) {
        matvec_two_ranks(matrix, vector)
    } else {
        matvec_local(matrix, vector)
    }
}

fn matvec_local(matrix: &[f32], vector: &[f32]) -> Vec<f32> {
    if cfg!(feature = "mkl") {
        matvec_blocked(matrix, vector)
    } else if cfg!(feature = "accelerate") {
        rows(matrix, vector, dot_lanes)
    } else if cfg!(feature = "metal") {
        rows(matrix, vector, dot_pairwise)
    } else {
        rows(matrix, vector, dot)
    }
}

/// Each of two ranks multiplies half of the columns; then the ranks are summed.
fn matvec_two_ranks(matrix: &[f32], vector: &[f32]) -> Vec<f32> {
    let columns = vector.len();
    let middle = columns / 2;
    let part = |range: std::ops::Range<usize>| -> Vec<f32> {
        if range.is_empty() {
            return vec![0.0; matrix.len() / columns];
        }
        let part: Vec<f32> = matrix
            .chunks_exact(columns)
            .flat_map(|row| &row[range.clone()])
            .copied()
            .collect();
        matvec_local(&part, &vector[range])
    };
    let ranks = vec![part(0..middle), part(middle..columns)];
    mistralrs_quant::distributed::all_reduce(ranks).swap_remove(0)
}

fn rows(matrix: &[f32], vector: &[f32], dot: fn(&[f32], &[f32]) -> f32) -> Vec<f32> {
    matrix
        .chunks_exact(vector.len())
        .map(|row| dot(row, vector))
        .collect()
}

/// One accumulator.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Eight accumulators, which fill a vector register.
fn dot_lanes(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; 8];
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += a * b;
        }
    }
    lanes.iter().sum()
}

/// Halves the products again and again, as threads of a GPU do.
fn dot_pairwise(a: &[f32], b: &[f32]) -> f32 {
    match a.len().min(b.len()) {
        0 => 0.0,
        1 => a[0] * b[0],
        len => {
            let middle = len / 2;
            dot_pairwise(&a[..middle], &b[..middle])
                + dot_pairwise(&a[middle..len], &b[middle..len])
        }
    }
}

/// Four rows at a time share every value of the vector that is loaded.
fn matvec_blocked(matrix: &[f32], vector: &[f32]) -> Vec<f32> {
    const ROWS: usize = 4;
    let columns = vector.len();
    let mut out = Vec::with_capacity(matrix.len() / columns);
    let blocks = matrix.chunks_exact(ROWS * columns);
    let rest = blocks.remainder();
    for block in blocks {
        let mut sums = [0.0; ROWS];
        for (i, x) in vector.iter().enumerate() {
            for (row, sum) in sums.iter_mut().enumerate() {
                *sum += block[row * columns + i] * x;
            }
        }
        out.extend(sums);
    }
    out.extend(rows(rest, vector, dot));
    out
}

/// Convolution without padding; empty if the input is shorter than the kernel.
pub fn conv1d(input: &[f32], kernel: &[f32]) -> Vec<f32> {
    if kernel.is_empty() || input.len() < kernel.len() {
        Vec::new()
    } else if cfg!(feature = "cudnn") {
        conv1d_as_product(input, kernel)
    } else {
        conv1d_direct(input, kernel)
    }
}

fn conv1d_direct(input: &[f32], kernel: &[f32]) -> Vec<f32> {
    input
        .windows(kernel.len())
        .map(|window| dot(window, kernel))
        .collect()
}

/// Copies all windows to a matrix first, so that one product does the rest.
fn conv1d_as_product(input: &[f32], kernel: &[f32]) -> Vec<f32> {
    let windows: Vec<f32> = input.windows(kernel.len()).flatten().copied().collect();
    matvec_local(&windows, kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(len: usize) -> Vec<f32> {
        // Small integers: the order of the additions must not matter.
        (0..len).map(|i| (i * 7 % 11) as f32 - 5.0).collect()
    }

    #[test]
    fn all_products_agree() {
        for (row_count, columns) in [(1, 1), (3, 5), (4, 8), (9, 17), (0, 3)] {
            let (m, v) = (numbers(row_count * columns), numbers(columns));
            let expected = rows(&m, &v, dot);
            assert_eq!(rows(&m, &v, dot_lanes), expected);
            assert_eq!(rows(&m, &v, dot_pairwise), expected);
            assert_eq!(matvec_blocked(&m, &v), expected);
            assert_eq!(matvec_two_ranks(&m, &v), expected);
            assert_eq!(matvec(&m, &v), expected);
        }
    }

    #[test]
    fn both_convolutions_agree() {
        let (input, kernel) = (numbers(20), [1.0, -2.0, 3.0]);
        let expected = conv1d_direct(&input, &kernel);
        assert_eq!(expected.len(), 18);
        assert_eq!(conv1d_as_product(&input, &kernel), expected);
        assert!(conv1d(&[1.0], &kernel).is_empty());
    }

    #[test]
    #[should_panic(expected = "not whole")]
    fn rows_must_be_whole() {
        matvec(&[1.0; 5], &[1.0; 2]);
    }
}
