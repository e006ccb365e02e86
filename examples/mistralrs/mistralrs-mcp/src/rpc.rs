//! JSON-RPC 2.0 messages, the envelope of MCP.

use std::fmt;

use crate::json::Value;

#[derive(Debug, Clone, PartialEq)]
pub enum Id {
    Number(i64),
    String(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct RpcError {
    pub code: i64,
    pub message: String,
}

impl RpcError {
    pub const PARSE: i64 = -32700;
    pub const INVALID_REQUEST: i64 = -32600;
    pub const METHOD_NOT_FOUND: i64 = -32601;
    pub const INVALID_PARAMS: i64 = -32602;

    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JSON-RPC error {}: {}", self.code, self.message)
    }
}

impl std::error::Error for RpcError {}

#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    Request {
        id: Id,
        method: String,
        params: Value,
    },
    /// A request that nobody answers.
    Notification { method: String, params: Value },
    /// `id` is missing if the request could not be read.
    Response {
        id: Option<Id>,
        result: Result<Value, RpcError>,
    },
}

impl Message {
    /// Reads one message.
    ///
    /// ```
    /// use mistralrs_mcp::{Id, Message};
    ///
    /// let text = r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}"#;
    /// let message = Message::parse(text)?;
    /// assert!(matches!(message, Message::Request { id: Id::Number(1), .. }));
    /// # Ok::<(), mistralrs_mcp::RpcError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, RpcError> {
        let value =
            Value::parse(text).map_err(|e| RpcError::new(RpcError::PARSE, e.to_string()))?;
        let invalid = |what: &str| RpcError::new(RpcError::INVALID_REQUEST, what);
        if value.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(invalid("'jsonrpc' is not \"2.0\""));
        }
        let id = match value.get("id") {
            None | Some(Value::Null) => None,
            Some(Value::String(s)) => Some(Id::String(s.clone())),
            Some(Value::Number(n)) if n.fract() == 0.0 => Some(Id::Number(*n as i64)),
            Some(_) => return Err(invalid("'id' is neither an integer nor a string")),
        };
        if let Some(method) = value.get("method") {
            let method = method
                .as_str()
                .ok_or_else(|| invalid("'method' is not a string"))?
                .to_owned();
            let params = value.get("params").cloned().unwrap_or(Value::Null);
            return Ok(match id {
                Some(id) => Self::Request { id, method, params },
                None => Self::Notification { method, params },
            });
        }
        let result = match (value.get("result"), value.get("error")) {
            (Some(result), None) => Ok(result.clone()),
            (None, Some(error)) => Err(RpcError {
                code: error
                    .get("code")
                    .and_then(Value::as_f64)
                    .ok_or_else(|| invalid("error without a code"))? as i64,
                message: error
                    .get("message")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned(),
            }),
            _ => return Err(invalid("neither a request nor a response")),
        };
        Ok(Self::Response { id, result })
    }

    pub fn to_value(&self) -> Value {
        let mut pairs = vec![("jsonrpc", Value::from("2.0"))];
        match self {
            Self::Request { id, method, params } => {
                pairs.push(("id", id.to_value()));
                pairs.push(("method", method.as_str().into()));
                push_params(&mut pairs, params);
            }
            Self::Notification { method, params } => {
                pairs.push(("method", method.as_str().into()));
                push_params(&mut pairs, params);
            }
            Self::Response { id, result } => {
                pairs.push(("id", id.as_ref().map_or(Value::Null, Id::to_value)));
                match result {
                    Ok(result) => pairs.push(("result", result.clone())),
                    Err(error) => pairs.push((
                        "error",
                        Value::object([
                            ("code", Value::from(error.code)),
                            ("message", error.message.as_str().into()),
                        ]),
                    )),
                }
            }
        }
        Value::object(pairs)
    }
}

impl Id {
    fn to_value(&self) -> Value {
        match self {
            Self::Number(n) => (*n).into(),
            Self::String(s) => s.as_str().into(),
        }
    }
}

fn push_params(pairs: &mut Vec<(&str, Value)>, params: &Value) {
    if *params != Value::Null {
        pairs.push(("params", params.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        for text in [
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"ls"}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            r#"{"jsonrpc":"2.0","id":"a","result":{"ok":true}}"#,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"bad"}}"#,
        ] {
            assert_eq!(Message::parse(text).unwrap().to_value().to_string(), text);
        }
    }

    #[test]
    fn rejects() {
        for (text, code) in [
            ("{", RpcError::PARSE),
            (r#"{"id":1,"method":"x"}"#, RpcError::INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1}"#, RpcError::INVALID_REQUEST),
            (
                r#"{"jsonrpc":"2.0","id":[],"method":"x"}"#,
                RpcError::INVALID_REQUEST,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":2}"#,
                RpcError::INVALID_REQUEST,
            ),
        ] {
            assert_eq!(Message::parse(text).unwrap_err().code, code, "{text}");
        }
    }
}
