use std::time::Instant;

fn main() {
    let start = Instant::now();
    for _ in 0..50 {
        std::thread::spawn(|| std::hint::black_box(1))
            .join()
            .unwrap();
    }
    println!(
        "compute_pool_overhead: {} ns/iter",
        start.elapsed().as_nanos() / 50
    );
}
