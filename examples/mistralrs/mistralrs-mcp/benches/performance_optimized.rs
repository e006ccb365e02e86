//! Many messages at once: reading them one after the other, and on two threads.

mod support;

use std::thread;

use mistralrs_mcp::Message;

fn read_all(lines: &[String]) -> usize {
    lines
        .iter()
        .filter(|line| Message::parse(line).is_ok())
        .count()
}

fn main() {
    let bench = support::Bench::from_args();
    let lines: Vec<_> = (0..2_000)
        .map(|i| {
            format!(r#"{{"jsonrpc":"2.0","id":{i},"method":"tools/call","params":{{"n":{i}}}}}"#)
        })
        .collect();

    bench.run("batch/one_thread", || read_all(&lines));
    bench.run("batch/two_threads", || {
        let (left, right) = lines.split_at(lines.len() / 2);
        thread::scope(|scope| {
            let other = scope.spawn(|| read_all(right));
            read_all(left) + other.join().expect("no panic in the reader")
        })
    });
}
