use std::time::Instant;

use dynamo_runtime::codec::{decode, encode};

fn main() {
    let (payload, start) = (vec![7u8; 4096], Instant::now());
    for _ in 0..1000 {
        std::hint::black_box(decode(&encode(&payload)));
    }
    println!(
        "tcp_codec_perf: {} ns/iter",
        start.elapsed().as_nanos() / 1000
    );
}
