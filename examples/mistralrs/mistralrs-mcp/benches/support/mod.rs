//! A small stand-in for Criterion: takes samples and prints the quartiles.
//!
//! `cargo bench` passes `--bench`; `cargo test --benches` does not, and then every
//! benchmark runs just once. Further arguments: `--quick`, `--list`, `--json`, a filter.

use std::{
    hint::black_box,
    process::exit,
    time::{Duration, Instant},
};

pub struct Bench {
    measure: bool,
    quick: bool,
    list: bool,
    json: bool,
    filter: Option<String>,
}

impl Bench {
    pub fn from_args() -> Self {
        let mut bench = Self {
            measure: false,
            quick: false,
            list: false,
            json: false,
            filter: None,
        };
        for arg in std::env::args().skip(1) {
            match arg.as_str() {
                "--bench" => bench.measure = true,
                "--quick" => bench.quick = true,
                "--list" => bench.list = true,
                "--json" => bench.json = true,
                "--nocapture" | "--test" => {}
                option if option.starts_with('-') => {
                    eprintln!("error: unknown option {option}");
                    exit(2);
                }
                filter => bench.filter = Some(filter.to_owned()),
            }
        }
        bench
    }

    /// Times `work`, unless the filter leaves it out.
    pub fn run<T>(&self, name: &str, mut work: impl FnMut() -> T) {
        if self.filter.as_ref().is_some_and(|f| !name.contains(f)) {
            return;
        }
        if self.list {
            println!("{name}: benchmark");
            return;
        }
        black_box(work());
        if !self.measure {
            println!("{name}: ok");
            return;
        }
        // As many rounds a sample as fill the time, so that the clock is not what is measured.
        let target = Duration::from_millis(if self.quick { 1 } else { 5 });
        let started = Instant::now();
        let mut rounds = 0u32;
        while started.elapsed() < target {
            black_box(work());
            rounds += 1;
        }
        let samples = if self.quick { 7 } else { 21 };
        let mut nanos: Vec<f64> = (0..samples)
            .map(|_| {
                let started = Instant::now();
                for _ in 0..rounds {
                    black_box(work());
                }
                started.elapsed().as_secs_f64() * 1e9 / f64::from(rounds)
            })
            .collect();
        nanos.sort_by(f64::total_cmp);
        let (low, mid, high) = (
            nanos[samples / 4],
            nanos[samples / 2],
            nanos[samples * 3 / 4],
        );
        if self.json {
            println!(
                r#"{{"name":"{name}","median_ns":{mid:.1},"low_ns":{low:.1},"high_ns":{high:.1}}}"#
            );
        } else {
            println!("{name:<32} time: [{low:>10.1} ns {mid:>10.1} ns {high:>10.1} ns]");
        }
    }
}
