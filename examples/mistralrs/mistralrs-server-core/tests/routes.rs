//! Talks to a running server over the network.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread::{self, JoinHandle},
};

use mistralrs_core::{mcp::Value, ToyModel};
use mistralrs_server_core::{Handle, Server, State};

struct Running {
    addr: SocketAddr,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start() -> Self {
        let state = State {
            model: ToyModel::plain("toy").unwrap(),
            mcp: None,
        };
        let server = Server::bind("127.0.0.1:0", state).unwrap();
        Self {
            addr: server.local_addr().unwrap(),
            handle: server.handle().unwrap(),
            thread: Some(thread::spawn(|| server.serve())),
        }
    }

    fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.addr).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Status and body.
    fn call(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let answer = self.raw(&format!(
            "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    fn json(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (status, body) = self.call(method, path, body);
        (status, Value::parse(&body).unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

#[test]
fn health_models_and_description() {
    let server = Running::start();
    let (status, health) = server.json("GET", "/health", "");
    assert_eq!((status, health.get("status")), (200, Some(&"ok".into())));
    let (_, models) = server.json("GET", "/v1/models?x=y", "");
    let first = &models.get("data").unwrap().as_array().unwrap()[0];
    assert_eq!(first.get("id"), Some(&"toy".into()));
    let (status, document) = server.json("GET", "/api-doc/openapi.json", "");
    assert_eq!(status, 200);
    for (path, methods) in document.get("paths").unwrap().as_object().unwrap() {
        let method = methods.as_object().unwrap()[0].0.to_uppercase();
        let (status, _) = server.call(&method, path, "{}");
        assert!(status == 200 || status == 400, "{method} {path}: {status}");
    }
}

const CHAT: &str = r#"{"messages": [{"role": "user", "content": "Hello!"}]}"#;

#[test]
fn chat() {
    let server = Running::start();
    let (status, answer) = server.json("POST", "/v1/chat/completions", CHAT);
    assert_eq!(status, 200);
    let choice = &answer.get("choices").unwrap().as_array().unwrap()[0];
    let content = choice.get("message").unwrap().get("content").unwrap();
    assert!(content.as_str().unwrap().contains("toy model"));
    assert_eq!(choice.get("finish_reason"), Some(&"stop".into()));
    let usage = answer.get("usage").unwrap();
    assert_eq!(usage.get("prompt_tokens"), Some(&2.into()));
}

#[test]
fn stream_has_the_same_words() {
    let server = Running::start();
    let (_, whole) = server.json("POST", "/v1/chat/completions", CHAT);
    let choice = &whole.get("choices").unwrap().as_array().unwrap()[0];
    let expected = choice.get("message").unwrap().get("content").unwrap();

    let body = CHAT.replacen('{', r#"{"stream": true, "#, 1);
    let (status, events) = server.call("POST", "/v1/chat/completions", &body);
    assert_eq!(status, 200);
    let events: Vec<&str> = events
        .split_terminator("\n\n")
        .map(|event| event.strip_prefix("data: ").unwrap())
        .collect();
    let (last, chunks) = events.split_last().unwrap();
    assert_eq!(*last, "[DONE]");
    let text: String = chunks
        .iter()
        .map(|chunk| {
            let chunk = Value::parse(chunk).unwrap();
            let choice = &chunk.get("choices").unwrap().as_array().unwrap()[0];
            let delta = choice.get("delta").unwrap().get("content");
            delta.and_then(Value::as_str).unwrap_or_default().to_owned()
        })
        .collect();
    assert_eq!(Some(text.as_str()), expected.as_str());
}

#[test]
fn text_completion() {
    let server = Running::start();
    let body = r#"{"prompt": "the linker", "max_tokens": 2}"#;
    let (_, answer) = server.json("POST", "/v1/completions", body);
    let choice = &answer.get("choices").unwrap().as_array().unwrap()[0];
    assert_eq!(choice.get("finish_reason"), Some(&"length".into()));
    assert_eq!(
        choice
            .get("text")
            .unwrap()
            .as_str()
            .unwrap()
            .split(' ')
            .count(),
        2
    );
}

#[test]
fn errors_are_json() {
    let server = Running::start();
    for (method, path, body, expected) in [
        ("GET", "/nothing", "", 404),
        ("POST", "/health", "", 405),
        ("GET", "/v1/chat/completions", "", 405),
        ("POST", "/v1/chat/completions", "{", 400),
        ("POST", "/v1/completions", "{}", 400),
    ] {
        let (status, body) = server.json(method, path, body);
        assert_eq!(status, expected);
        let error = body.get("error").unwrap();
        assert_eq!(error.get("code"), Some(&expected.into()));
        assert!(error.get("message").unwrap().as_str().is_some());
    }
    assert!(server.raw("nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));
}

#[test]
fn connections_are_kept() {
    let server = Running::start();
    let answer =
        server.raw("GET /health HTTP/1.1\r\n\r\nGET /health HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2);
}
