//! What each route does.

use std::io::{self, Write};

use mistralrs_core::{debug_line, mcp::Value, openapi};

use crate::{
    http::{EventStream, Request, Response},
    openai::{Answer, Kind, TextRequest},
    State,
};

const OPENAPI_PATH: &str = "/api-doc/openapi.json";

/// Answers one request. Returns whether the connection can take another.
pub fn handle(state: &State, request: &Request, output: &mut impl Write) -> io::Result<bool> {
    debug_line!("{} {}", request.method, request.path);
    let wanted = match request.path.as_str() {
        "/health" | "/v1/models" | OPENAPI_PATH => "GET",
        "/v1/chat/completions" | "/v1/completions" => "POST",
        path => {
            let message = format!("there is no {path}");
            return send(error(404, &message), request, output);
        }
    };
    if request.method != wanted {
        let message = format!("{} takes {wanted} only", request.path);
        let mut response = error(405, &message);
        response.allow = Some(wanted);
        return send(response, request, output);
    }
    match request.path.as_str() {
        "/health" => send(json(200, &health(state)), request, output),
        "/v1/models" => send(json(200, &models(state)), request, output),
        OPENAPI_PATH => send(json(200, &openapi::document()), request, output),
        "/v1/chat/completions" => complete(Kind::Chat, state, request, output),
        _ => complete(Kind::Text, state, request, output),
    }
}

fn send(response: Response, request: &Request, output: &mut impl Write) -> io::Result<bool> {
    debug_line!("status {}", response.status);
    response.write(output, request.keep_alive)?;
    Ok(request.keep_alive)
}

fn json(status: u16, value: &Value) -> Response {
    Response {
        status,
        content_type: "application/json",
        allow: None,
        body: value.to_string(),
    }
}

/// An error as clients of the OpenAI interface expect it.
pub fn error(status: u16, message: &str) -> Response {
    let kind = if status < 500 {
        "invalid_request_error"
    } else {
        "server_error"
    };
    let error = Value::object([
        ("message", Value::from(message)),
        ("type", kind.into()),
        ("code", status.into()),
    ]);
    json(status, &Value::object([("error", error)]))
}

fn health(state: &State) -> Value {
    let servers = state.mcp.as_ref().map_or(0, |mcp| mcp.enabled().count());
    Value::object([
        ("status", Value::from("ok")),
        ("version", mistralrs_core::VERSION.into()),
        ("mcp_servers", servers.into()),
    ])
}

fn models(state: &State) -> Value {
    let model = Value::object([
        ("id", Value::from(state.model.id())),
        ("object", "model".into()),
        ("created", 0.into()),
        ("owned_by", "local".into()),
    ]);
    Value::object([
        ("object", Value::from("list")),
        ("data", vec![model].into()),
    ])
}

fn complete(
    kind: Kind,
    state: &State,
    request: &Request,
    output: &mut impl Write,
) -> io::Result<bool> {
    let text = match TextRequest::parse(kind, &request.body) {
        Ok(text) => text,
        Err(message) => return send(error(400, &message), request, output),
    };
    let answer = Answer::new(kind, state.model.id());
    if !text.stream {
        let completion = state.model.generate(&text.prompt, &text.params);
        return send(json(200, &answer.whole(&completion)), request, output);
    }
    let mut events = EventStream::start(output)?;
    let mut sent = Ok(());
    let completion = state
        .model
        .generate_with(&text.prompt, &text.params, |piece| {
            sent = events.send(&answer.chunk(Some(piece), None).to_string());
            sent.is_ok()
        });
    sent?;
    let reason = completion.finish_reason.as_str();
    events.send(&answer.chunk(None, Some(reason)).to_string())?;
    events.send("[DONE]")?;
    Ok(false)
}
