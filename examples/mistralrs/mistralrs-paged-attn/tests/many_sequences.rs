//! Sequences that come and go must not disturb each other.

use mistralrs_paged_attn::{PagedCache, Sequence};

#[test]
fn blocks_are_reused_without_mixing() {
    let mut cache = PagedCache::new(8, 4, 1);
    for round in 0..20u8 {
        let mut live: Vec<Sequence> = (0..4).map(|_| Sequence::default()).collect();
        for i in 0..8u8 {
            for (s, sequence) in (0u8..).zip(&mut live) {
                let value = f32::from(round) * 1000.0 + f32::from(s) * 100.0 + f32::from(i);
                cache.append(sequence, &[value]).unwrap();
            }
        }
        assert_eq!(cache.free_blocks(), 0);
        for (s, sequence) in (0u8..).zip(live) {
            let first = f32::from(round) * 1000.0 + f32::from(s) * 100.0;
            let expected: Vec<f32> = (0..8u8).map(|i| first + f32::from(i)).collect();
            assert_eq!(cache.gather(&sequence), expected);
            cache.release(sequence);
        }
    }
}
