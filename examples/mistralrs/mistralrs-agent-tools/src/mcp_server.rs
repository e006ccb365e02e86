//! The tools as an MCP server, which reads a message a line.

use std::io::{self, BufRead, Write};

use mistralrs_mcp::{Message, RpcError, Value};

use crate::{cat, grep, ls, Sandbox};

const TOOLS: [(&str, &str, &[&str]); 3] = [
    ("ls", "Lists a directory", &["path"]),
    ("cat", "Reads a text file", &["path"]),
    ("grep", "Finds lines in a file", &["needle", "path"]),
];

/// Serves until the input ends.
pub fn serve(sandbox: &Sandbox, input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    for line in input.lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        if let Some(answer) = answer(sandbox, &line) {
            writeln!(output, "{}", answer.to_value())?;
            output.flush()?;
        }
    }
    Ok(())
}

fn answer(sandbox: &Sandbox, line: &str) -> Option<Message> {
    match Message::parse(line) {
        Ok(Message::Request { id, method, params }) => Some(Message::Response {
            id: Some(id),
            result: call(sandbox, &method, &params),
        }),
        Ok(_) => None,
        Err(error) => Some(Message::Response {
            id: None,
            result: Err(error),
        }),
    }
}

fn call(sandbox: &Sandbox, method: &str, params: &Value) -> Result<Value, RpcError> {
    match method {
        "initialize" => Ok(Value::object([
            ("protocolVersion", Value::from("2025-03-26")),
            ("capabilities", Value::object([("tools", empty())])),
            (
                "serverInfo",
                Value::object([
                    ("name", Value::from(env!("CARGO_PKG_NAME"))),
                    ("version", env!("CARGO_PKG_VERSION").into()),
                ]),
            ),
        ])),
        "ping" => Ok(empty()),
        "tools/list" => {
            let tools: Vec<_> = TOOLS.iter().map(describe).collect();
            Ok(Value::object([("tools", Value::from(tools))]))
        }
        "tools/call" => run_tool(sandbox, params),
        other => Err(RpcError::new(
            RpcError::METHOD_NOT_FOUND,
            format!("unknown method '{other}'"),
        )),
    }
}

fn empty() -> Value {
    Value::Object(Vec::new())
}

fn describe((name, text, arguments): &(&str, &str, &[&str])) -> Value {
    let string = || Value::object([("type", Value::from("string"))]);
    let properties = arguments.iter().map(|argument| (*argument, string()));
    Value::object([
        ("name", Value::from(*name)),
        ("description", (*text).into()),
        (
            "inputSchema",
            Value::object([
                ("type", Value::from("object")),
                ("properties", Value::object(properties)),
                ("required", arguments.to_vec().into()),
            ]),
        ),
    ])
}

fn run_tool(sandbox: &Sandbox, params: &Value) -> Result<Value, RpcError> {
    let invalid = |message: String| RpcError::new(RpcError::INVALID_PARAMS, message);
    let argument = |name: &str| {
        params
            .get("arguments")
            .and_then(|arguments| arguments.get(name))
            .and_then(Value::as_str)
            .ok_or_else(|| invalid(format!("argument '{name}' is missing")))
    };
    let result = match params.get("name").and_then(Value::as_str) {
        Some("ls") => ls(sandbox, argument("path")?).map(|names| names.join("\n")),
        Some("cat") => cat(sandbox, argument("path")?),
        Some("grep") => grep(sandbox, argument("needle")?, argument("path")?).map(|lines| {
            let lines: Vec<_> = lines
                .iter()
                .map(|(n, line)| format!("{n}:{line}"))
                .collect();
            lines.join("\n")
        }),
        other => return Err(invalid(format!("unknown tool {other:?}"))),
    };
    // That a tool fails is a result of MCP, not an error of the protocol.
    let (text, is_error) = match result {
        Ok(text) => (text, false),
        Err(error) => (error.to_string(), true),
    };
    let content = Value::object([("type", Value::from("text")), ("text", text.into())]);
    Ok(Value::object([
        ("content", Value::from(vec![content])),
        ("isError", is_error.into()),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk(lines: &str) -> Vec<Value> {
        let sandbox = Sandbox::new("src").unwrap();
        let mut output = Vec::new();
        serve(&sandbox, lines.as_bytes(), &mut output).unwrap();
        let output = String::from_utf8(output).unwrap();
        output.lines().map(|l| Value::parse(l).unwrap()).collect()
    }

    #[test]
    fn session() {
        let answers = talk(concat!(
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#,
            "\n",
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            "\n\n",
            r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#,
            "\n",
            r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"ls","arguments":{"path":"."}}}"#,
        ));
        assert_eq!(answers.len(), 3);
        let tools = answers[1].get("result").unwrap().get("tools").unwrap();
        assert_eq!(tools.as_array().unwrap().len(), TOOLS.len());
        let result = answers[2].get("result").unwrap();
        assert_eq!(result.get("isError"), Some(&false.into()));
        assert!(result.to_string().contains("lib.rs"));
    }

    #[test]
    fn errors() {
        let answers = talk(concat!(
            "nonsense\n",
            r#"{"jsonrpc":"2.0","id":1,"method":"none"}"#,
            "\n",
            r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"cat"}}"#,
            "\n",
            r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"cat","arguments":{"path":"none"}}}"#,
        ));
        let code = |i: usize| answers[i].get("error").unwrap().get("code").cloned();
        assert_eq!(code(0), Some(RpcError::PARSE.into()));
        assert_eq!(code(1), Some(RpcError::METHOD_NOT_FOUND.into()));
        assert_eq!(code(2), Some(RpcError::INVALID_PARAMS.into()));
        let result = answers[3].get("result").unwrap();
        assert_eq!(result.get("isError"), Some(&true.into()));
    }
}
