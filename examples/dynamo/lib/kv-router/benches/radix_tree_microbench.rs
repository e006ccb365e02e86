use std::time::Instant;

use dynamo_kv_router::Router;

fn main() {
    let (mut router, start) = (Router::default(), Instant::now());
    for worker in 0..1000u32 {
        router.record(
            worker as usize,
            &[worker, worker + 1, worker + 2, worker + 3],
            2,
        );
    }
    println!(
        "radix_tree_microbench: {} ns/iter",
        start.elapsed().as_nanos() / 1000
    );
}
