//! The sum of equally long vectors of several ranks, which all ranks get.
//! The ranks of the model are threads.

use std::{sync::mpsc, thread};

/// Sums in the manner of the features that are on: around a ring (`ring`), in a
/// tree (`nccl`), or one rank after the other.
///
/// # Panics
///
/// If the vectors differ in length.
pub fn all_reduce(ranks: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
    let len = ranks.first().map_or(0, Vec::len);
    assert!(
        ranks.iter().all(|rank| rank.len() == len),
        "ranks differ in length"
    );
    if cfg!(feature = "ring") {
        ring(ranks)
    } else if cfg!(feature = "nccl") {
        tree(ranks)
    } else {
        serial(ranks)
    }
}

fn add(sum: &mut [f32], other: &[f32]) {
    for (sum, other) in sum.iter_mut().zip(other) {
        *sum += other;
    }
}

fn serial(ranks: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
    let count = ranks.len();
    let sum = ranks.into_iter().reduce(|mut sum, rank| {
        add(&mut sum, &rank);
        sum
    });
    vec![sum.unwrap_or_default(); count]
}

fn tree(mut ranks: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
    let count = ranks.len();
    let mut step = 1;
    while step < count {
        for i in (0..count - step).step_by(2 * step) {
            let (left, right) = ranks.split_at_mut(i + step);
            add(&mut left[i], &right[0]);
        }
        step *= 2;
    }
    let sum = ranks.into_iter().next().unwrap_or_default();
    vec![sum; count]
}

/// Each rank owns a part of the vector. The parts travel once around to be summed
/// and once more to be handed out, so a rank sends 2 (n - 1) / n of its data.
fn ring(ranks: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
    let count = ranks.len();
    if count < 2 {
        return ranks;
    }
    let part_len = ranks[0].len().div_ceil(count);
    let (mut senders, receivers): (Vec<_>, Vec<_>) =
        (0..count).map(|_| mpsc::channel::<Vec<f32>>()).unzip();
    // Rank i sends to rank i + 1.
    senders.rotate_left(1);
    thread::scope(|scope| {
        let workers: Vec<_> = ranks
            .into_iter()
            .zip(senders)
            .zip(receivers)
            .enumerate()
            .map(|(rank, ((mut data, sender), receiver))| {
                scope.spawn(move || {
                    let len = data.len();
                    let part = |i: usize| {
                        let start = (i % count * part_len).min(len);
                        start..(start + part_len).min(len)
                    };
                    for step in 0..2 * (count - 1) {
                        let out = part(rank + 2 * count - step);
                        sender
                            .send(data[out].to_vec())
                            .expect("the next rank lives as long");
                        let got = receiver.recv().expect("the previous rank lives as long");
                        let own = &mut data[part(rank + 2 * count - step - 1)];
                        if step < count - 1 {
                            add(own, &got);
                        } else {
                            own.copy_from_slice(&got);
                        }
                    }
                    data
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("no panic in a rank"))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_agree() {
        for count in 0..6 {
            for len in [0, 1, 3, 8, 17] {
                // Small integers, so that the order of the additions does not matter.
                let ranks: Vec<Vec<f32>> = (0..count)
                    .map(|r| (0..len).map(|i| (r * len + i) as f32).collect())
                    .collect();
                let expected = serial(ranks.clone());
                assert_eq!(tree(ranks.clone()), expected, "tree {count} {len}");
                assert_eq!(ring(ranks.clone()), expected, "ring {count} {len}");
                assert_eq!(all_reduce(ranks), expected);
            }
        }
    }

    #[test]
    #[should_panic(expected = "differ in length")]
    fn lengths_must_agree() {
        all_reduce(vec![vec![1.0], vec![]]);
    }
}
