//! Times the toy model and its operations.

use std::{
    hint::black_box,
    process::ExitCode,
    time::{Duration, Instant},
};

use mistralrs_core::{
    attention, backends,
    mcp::Value,
    ops,
    quant::{rotary, Q8},
    CudaStatus, GenerateParams, SamplingParams, ToyModel,
};

const USAGE: &str = "\
Times the toy model and its operations.

Usage: mistralrs-bench [--json] [--quick]

  --json     one JSON object instead of a table
  --quick    fewer samples
  --version  print the version
  --help     print this text";

struct Row {
    name: &'static str,
    unit: &'static str,
    /// Units of work in one run.
    work: f64,
    /// Quartiles of the samples.
    times: [Duration; 3],
}

impl Row {
    fn rate(&self) -> f64 {
        self.work / self.times[1].as_secs_f64().max(1e-9)
    }
}

/// Quartiles of the samples; a run before them warms up.
fn quartiles(samples: usize, mut run: impl FnMut()) -> [Duration; 3] {
    run();
    let mut times: Vec<Duration> = (0..samples)
        .map(|_| {
            let started = Instant::now();
            run();
            started.elapsed()
        })
        .collect();
    times.sort();
    [samples / 4, samples / 2, samples * 3 / 4].map(|i| times[i])
}

fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i as f32 * 0.1).sin()).collect()
}

fn measure(quick: bool) -> Result<Vec<Row>, mistralrs_core::ModelError> {
    const SIDE: usize = 256;
    const DIM: usize = 32;
    let samples = if quick { 5 } else { 31 };
    let model = ToyModel::plain("toy")?;
    let tokens = if quick { 16 } else { 128 };
    // Hot enough that sentences rarely end, so that the number of tokens is nearly fixed.
    let params = GenerateParams {
        max_tokens: tokens,
        sampling: SamplingParams {
            temperature: 50.0,
            seed: 1,
            ..Default::default()
        },
    };
    let prompt = "the lock file of a workspace ".repeat(tokens / 4);
    let produced = model.generate(&prompt, &params).completion_tokens;
    let (matrix, vector) = (numbers(SIDE * SIDE), numbers(SIDE));
    let (query, rows) = (numbers(DIM), numbers(DIM * 512));
    let weights = Q8::quantize(&matrix);

    Ok(vec![
        Row {
            name: "generate",
            unit: "tokens/s",
            work: produced as f64,
            times: quartiles(samples, || {
                drop(black_box(model.generate(&prompt, &params)))
            }),
        },
        Row {
            name: "matvec 256x256",
            unit: "flop/s",
            work: (2 * SIDE * SIDE) as f64,
            times: quartiles(samples, || drop(black_box(ops::matvec(&matrix, &vector)))),
        },
        Row {
            name: "attention 512x32",
            unit: "rows/s",
            work: 512.0,
            times: quartiles(samples, || {
                drop(black_box(attention::attend(&query, &rows, &rows)));
            }),
        },
        Row {
            name: "dequantize q8",
            unit: "weights/s",
            work: weights.len() as f64,
            times: quartiles(samples, || drop(black_box(weights.dequantize()))),
        },
        Row {
            name: "rotary 512x32",
            unit: "rows/s",
            work: 512.0,
            times: quartiles(samples, || {
                let mut rows = rows.clone();
                rotary::rotate(&mut rows, DIM, 10_000.0);
                black_box(&rows);
            }),
        },
    ])
}

fn to_json(rows: &[Row]) -> Value {
    let results: Vec<_> = rows
        .iter()
        .map(|row| {
            Value::object([
                ("name", Value::from(row.name)),
                ("median_us", (row.times[1].as_secs_f64() * 1e6).into()),
                ("low_us", (row.times[0].as_secs_f64() * 1e6).into()),
                ("high_us", (row.times[2].as_secs_f64() * 1e6).into()),
                ("rate", row.rate().into()),
                ("unit", row.unit.into()),
            ])
        })
        .collect();
    Value::object([
        ("version", Value::from(mistralrs_core::VERSION)),
        ("backends", backends().into()),
        ("cuda", CudaStatus::detect().to_string().into()),
        ("results", results.into()),
    ])
}

fn print_table(rows: &[Row]) {
    println!("{:<18} {:>12} {:>16}", "benchmark", "median", "rate");
    for row in rows {
        println!(
            "{:<18} {:>9.1} us {:>12.3e} {}",
            row.name,
            row.times[1].as_secs_f64() * 1e6,
            row.rate(),
            row.unit
        );
    }
}

fn main() -> ExitCode {
    let (mut json, mut quick) = (false, false);
    for arg in std::env::args().skip(1) {
        match arg.as_str() {
            "--json" => json = true,
            "--quick" => quick = true,
            "-h" | "--help" => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            "-V" | "--version" => {
                println!("mistralrs-bench {}", mistralrs_core::VERSION);
                return ExitCode::SUCCESS;
            }
            other => {
                eprintln!("error: unknown argument '{other}'\n\n{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    match measure(quick) {
        Ok(rows) if json => println!("{}", to_json(&rows)),
        Ok(rows) => print_table(&rows),
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_can_be_read_back() {
        let rows = [Row {
            name: "n",
            unit: "u/s",
            work: 10.0,
            times: [4, 5, 6].map(Duration::from_millis),
        }];
        let value = Value::parse(&to_json(&rows).to_string()).unwrap();
        let first = &value.get("results").unwrap().as_array().unwrap()[0];
        assert_eq!(first.get("rate").and_then(Value::as_f64), Some(2000.0));
    }

    #[test]
    fn middle_of_the_samples() {
        let times = quartiles(3, || std::thread::sleep(Duration::from_millis(1)));
        assert!(times.is_sorted() && times[0].as_millis() >= 1);
    }
}
