//! The requests and responses of the OpenAI interface.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use mistralrs_core::{mcp::Value, Completion, GenerateParams};

/// A request for text, of either kind.
#[derive(Debug, PartialEq)]
pub struct TextRequest {
    pub prompt: String,
    pub params: GenerateParams,
    pub stream: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Chat,
    Text,
}

impl TextRequest {
    pub fn parse(kind: Kind, body: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(body).map_err(|_| "the body is not UTF-8")?;
        let value = Value::parse(text).map_err(|e| format!("the body is not JSON: {e}"))?;
        if value.as_object().is_none() {
            return Err("the body is not a JSON object".into());
        }
        let prompt = match kind {
            Kind::Chat => conversation(&value)?,
            Kind::Text => value
                .get("prompt")
                .and_then(Value::as_str)
                .ok_or("'prompt' must be a string")?
                .to_owned(),
        };
        let mut params = GenerateParams::default();
        let max_tokens =
            optional(&value, "max_tokens").or_else(|| optional(&value, "max_completion_tokens"));
        if let Some(n) = max_tokens {
            params.max_tokens = match n.as_u64().and_then(|n| usize::try_from(n).ok()) {
                Some(n @ 1..) => n,
                _ => return Err("'max_tokens' must be a positive integer".into()),
            };
        }
        let sampling = &mut params.sampling;
        if let Some(n) = optional(&value, "temperature") {
            sampling.temperature = within(n, 0.0..=2.0).ok_or("'temperature' must be 0 to 2")?;
        }
        if let Some(n) = optional(&value, "top_p") {
            sampling.top_p = within(n, 0.0..=1.0).ok_or("'top_p' must be 0 to 1")?;
        }
        if let Some(n) = optional(&value, "top_k") {
            let n = n.as_u64().and_then(|n| usize::try_from(n).ok());
            sampling.top_k = n.ok_or("'top_k' must be an integer")?;
        }
        if let Some(n) = optional(&value, "seed") {
            sampling.seed = n.as_u64().ok_or("'seed' must be an integer")?;
        }
        let stream = match optional(&value, "stream") {
            None => false,
            Some(value) => value.as_bool().ok_or("'stream' must be a boolean")?,
        };
        Ok(Self {
            prompt,
            params,
            stream,
        })
    }
}

/// A member that is there and not null.
fn optional<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    value.get(key).filter(|value| **value != Value::Null)
}

fn within(value: &Value, range: std::ops::RangeInclusive<f64>) -> Option<f32> {
    let n = value.as_f64()?;
    range.contains(&n).then_some(n as f32)
}

/// The texts of all messages in order; the model looks at the words only.
fn conversation(value: &Value) -> Result<String, String> {
    let messages = value
        .get("messages")
        .and_then(Value::as_array)
        .filter(|messages| !messages.is_empty())
        .ok_or("'messages' must be an array that is not empty")?;
    let mut texts = Vec::new();
    for (i, message) in messages.iter().enumerate() {
        if message.get("role").and_then(Value::as_str).is_none() {
            return Err(format!("messages[{i}] has no 'role'"));
        }
        match message.get("content") {
            Some(Value::String(text)) => texts.push(text.as_str()),
            Some(Value::Array(parts)) => {
                for part in parts {
                    let text = part.get("text").and_then(Value::as_str);
                    texts.push(
                        text.ok_or_else(|| format!("messages[{i}] has a part that is not text"))?,
                    );
                }
            }
            _ => return Err(format!("messages[{i}] has no 'content'")),
        }
    }
    Ok(texts.join("\n"))
}

/// The members that all parts of one answer share.
#[derive(Debug)]
pub struct Answer<'a> {
    kind: Kind,
    model: &'a str,
    id: String,
    created: u64,
}

impl<'a> Answer<'a> {
    pub fn new(kind: Kind, model: &'a str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let prefix = match kind {
            Kind::Chat => "chatcmpl",
            Kind::Text => "cmpl",
        };
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            kind,
            model,
            id: format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed)),
            created: since_epoch.map_or(0, |d| d.as_secs()),
        }
    }

    fn envelope(&self, object: &str, choice: Vec<(&str, Value)>) -> Vec<(&str, Value)> {
        let choice = [("index", Value::from(0))].into_iter().chain(choice);
        vec![
            ("id", self.id.as_str().into()),
            ("object", object.into()),
            ("created", self.created.into()),
            ("model", self.model.into()),
            ("choices", vec![Value::object(choice)].into()),
        ]
    }

    pub fn whole(&self, completion: &Completion) -> Value {
        let text = Value::from(completion.text.as_str());
        let (object, content) = match self.kind {
            Kind::Chat => (
                "chat.completion",
                (
                    "message",
                    Value::object([("role", "assistant".into()), ("content", text)]),
                ),
            ),
            Kind::Text => ("text_completion", ("text", text)),
        };
        let reason = completion.finish_reason.as_str().into();
        let mut pairs = self.envelope(object, vec![content, ("finish_reason", reason)]);
        let (prompt, answer) = (completion.prompt_tokens, completion.completion_tokens);
        pairs.push((
            "usage",
            Value::object([
                ("prompt_tokens", Value::from(prompt)),
                ("completion_tokens", answer.into()),
                ("total_tokens", (prompt + answer).into()),
            ]),
        ));
        Value::object(pairs)
    }

    /// One event of a stream: either a piece of text or the reason of the end.
    pub fn chunk(&self, piece: Option<&str>, finish_reason: Option<&str>) -> Value {
        let (object, content) = match self.kind {
            Kind::Chat => {
                let delta = piece.map(|piece| ("content", Value::from(piece)));
                ("chat.completion.chunk", ("delta", Value::object(delta)))
            }
            Kind::Text => (
                "text_completion",
                ("text", piece.unwrap_or_default().into()),
            ),
        };
        let choice = vec![content, ("finish_reason", finish_reason.into())];
        Value::object(self.envelope(object, choice))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversations_are_joined() {
        let body = br#"{"messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]}
        ], "max_tokens": 5, "stream": true, "seed": null}"#;
        let request = TextRequest::parse(Kind::Chat, body).unwrap();
        assert_eq!(request.prompt, "Be kind.\nHi");
        assert_eq!(request.params.max_tokens, 5);
        assert!(request.stream);
    }

    #[test]
    fn errors_name_the_member() {
        for (body, part) in [
            ("[]", "object"),
            ("{", "not JSON"),
            ("{}", "'prompt'"),
            (r#"{"prompt": "x", "max_tokens": 0}"#, "'max_tokens'"),
            (r#"{"prompt": "x", "temperature": 3}"#, "'temperature'"),
            (r#"{"prompt": "x", "top_p": "1"}"#, "'top_p'"),
            (r#"{"prompt": "x", "top_k": -1}"#, "'top_k'"),
            (r#"{"prompt": "x", "seed": 0.5}"#, "'seed'"),
            (r#"{"prompt": "x", "stream": 1}"#, "'stream'"),
        ] {
            let error = TextRequest::parse(Kind::Text, body.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        for body in [
            r#"{"messages": []}"#,
            r#"{"messages": [{"content": "x"}]}"#,
            r#"{"messages": [{"role": "user"}]}"#,
            r#"{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}"#,
        ] {
            let error = TextRequest::parse(Kind::Chat, body.as_bytes()).unwrap_err();
            assert!(error.contains("messages"), "{error}");
        }
        assert!(TextRequest::parse(Kind::Text, b"\xff").is_err());
    }

    #[test]
    fn ids_differ() {
        let answers = [(); 2].map(|()| Answer::new(Kind::Chat, "m"));
        assert_ne!(answers[0].id, answers[1].id);
    }
}
