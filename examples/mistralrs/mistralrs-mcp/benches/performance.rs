//! Parsing of the configuration and of single messages.

mod support;

use mistralrs_mcp::{McpConfig, Message, Value};

fn main() {
    let bench = support::Bench::from_args();
    let servers: Vec<_> = (0..50)
        .map(|i| {
            format!(r#"{{"name":"s{i}","source":{{"type":"Process","command":"c","args":["a"]}}}}"#)
        })
        .collect();
    let config = format!(r#"{{"servers":[{}]}}"#, servers.join(","));
    let value = Value::parse(&config).expect("the benchmark's own JSON");
    let request = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ls"}}"#;

    bench.run("json/parse_50_servers", || Value::parse(&config));
    bench.run("json/write_50_servers", || value.to_string());
    bench.run("config/parse_50_servers", || McpConfig::parse(&config));
    bench.run("rpc/parse_request", || Message::parse(request));
}
