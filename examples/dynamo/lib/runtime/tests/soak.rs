//! Load for as long as DYN_SOAK_RUN_DURATION says ("3s"), by default one second.
#![cfg(feature = "integration")]

use std::time::{Duration, Instant};

use dynamo_runtime::codec::{decode, encode};

fn duration() -> Duration {
    let text = std::env::var("DYN_SOAK_RUN_DURATION").unwrap_or_else(|_| "1s".into());
    Duration::from_secs(
        text.trim_end_matches('s')
            .parse()
            .expect("DYN_SOAK_RUN_DURATION is seconds, like 3s"),
    )
}

#[test]
fn frames_survive_a_long_run() {
    let (end, mut rounds) = (Instant::now() + duration(), 0u64);
    while Instant::now() < end {
        rounds += 1;
        let frame = encode(&rounds.to_be_bytes());
        assert_eq!(decode(&frame).unwrap().0, rounds.to_be_bytes());
    }
    assert!(rounds > 0);
}
