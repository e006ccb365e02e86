//! The list of MCP servers, in either of the two notations that are in use:
//! an array `servers` (mistral.rs) or an object `mcpServers` (most other clients).

use std::{fmt, path::Path};

use crate::json::{JsonError, Value};

#[derive(Debug, Clone, PartialEq)]
pub struct McpConfig {
    pub servers: Vec<McpServer>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct McpServer {
    pub name: String,
    pub source: McpSource,
    pub enabled: bool,
}

/// How a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum McpSource {
    Process {
        command: String,
        args: Vec<String>,
        env: Vec<(String, String)>,
    },
    Http {
        url: String,
    },
    WebSocket {
        url: String,
    },
}

#[derive(Debug)]
pub enum ConfigError {
    Io(String, std::io::Error),
    Json(JsonError),
    /// The JSON is well-formed, but not a configuration.
    Shape(String),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "cannot read MCP configuration {path}: {error}"),
            Self::Json(error) => write!(f, "MCP configuration is not JSON: {error}"),
            Self::Shape(message) => write!(f, "MCP configuration: {message}"),
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(_, error) => Some(error),
            Self::Json(error) => Some(error),
            Self::Shape(_) => None,
        }
    }
}

impl From<JsonError> for ConfigError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

fn shape<T>(message: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Shape(message.into()))
}

impl McpConfig {
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Io(path.display().to_string(), error))?;
        Self::parse(&text)
    }

    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let root = Value::parse(text)?;
        let servers = match (root.get("servers"), root.get("mcpServers")) {
            (Some(_), Some(_)) => return shape("has both 'servers' and 'mcpServers'"),
            (Some(list), None) => from_array(list)?,
            (None, Some(map)) => from_object(map)?,
            (None, None) => return shape("has neither 'servers' nor 'mcpServers'"),
        };
        for (i, server) in servers.iter().enumerate() {
            if servers[..i].iter().any(|other| other.name == server.name) {
                return shape(format!("server name '{}' is used twice", server.name));
            }
        }
        Ok(Self { servers })
    }

    /// The servers that are not switched off.
    pub fn enabled(&self) -> impl Iterator<Item = &McpServer> {
        self.servers.iter().filter(|server| server.enabled)
    }
}

fn from_array(list: &Value) -> Result<Vec<McpServer>, ConfigError> {
    let Some(items) = list.as_array() else {
        return shape("'servers' is not an array");
    };
    items
        .iter()
        .enumerate()
        .map(|(i, item)| {
            let Some(name) = item.get("name").and_then(Value::as_str) else {
                return shape(format!("servers[{i}] has no name"));
            };
            let Some(source) = item.get("source") else {
                return shape(format!("server '{name}' has no source"));
            };
            let kind = source.get("type").and_then(Value::as_str);
            let source = match kind {
                Some("Process") => process(name, source)?,
                Some("Http") => McpSource::Http {
                    url: url(name, source, &["http://", "https://"])?,
                },
                Some("WebSocket") => McpSource::WebSocket {
                    url: url(name, source, &["ws://", "wss://"])?,
                },
                Some(other) => {
                    return shape(format!("server '{name}' has unknown source type '{other}'"))
                }
                None => return shape(format!("server '{name}' has a source without a type")),
            };
            Ok(McpServer {
                name: name.to_owned(),
                source,
                enabled: flag(name, item, "enabled", true)?,
            })
        })
        .collect()
}

fn from_object(map: &Value) -> Result<Vec<McpServer>, ConfigError> {
    let Some(pairs) = map.as_object() else {
        return shape("'mcpServers' is not an object");
    };
    pairs
        .iter()
        .map(|(name, item)| {
            let source = match (item.get("command"), item.get("url").and_then(Value::as_str)) {
                (Some(_), None) => process(name, item)?,
                (None, Some(url)) if url.starts_with("ws") => McpSource::WebSocket {
                    url: self::url(name, item, &["ws://", "wss://"])?,
                },
                (None, Some(_)) => McpSource::Http {
                    url: url(name, item, &["http://", "https://"])?,
                },
                _ => return shape(format!("server '{name}' needs a command or a url")),
            };
            Ok(McpServer {
                name: name.clone(),
                source,
                enabled: !flag(name, item, "disabled", false)?,
            })
        })
        .collect()
}

fn process(name: &str, item: &Value) -> Result<McpSource, ConfigError> {
    let command = match item.get("command").and_then(Value::as_str) {
        Some(command) if !command.is_empty() => command.to_owned(),
        _ => return shape(format!("server '{name}' has no command")),
    };
    let args = match item.get("args") {
        None => Vec::new(),
        Some(args) => args
            .as_array()
            .and_then(|list| list.iter().map(|a| a.as_str().map(str::to_owned)).collect())
            .ok_or_else(|| {
                ConfigError::Shape(format!("args of server '{name}' are not strings"))
            })?,
    };
    let env = match item.get("env") {
        None | Some(Value::Null) => Vec::new(),
        Some(env) => env
            .as_object()
            .and_then(|pairs| {
                pairs
                    .iter()
                    .map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
                    .collect()
            })
            .ok_or_else(|| ConfigError::Shape(format!("env of server '{name}' is not strings")))?,
    };
    Ok(McpSource::Process { command, args, env })
}

fn url(name: &str, item: &Value, schemes: &[&str]) -> Result<String, ConfigError> {
    match item.get("url").and_then(Value::as_str) {
        Some(url) if schemes.iter().any(|s| url.starts_with(s)) => Ok(url.to_owned()),
        Some(url) => shape(format!("server '{name}' has the wrong kind of url '{url}'")),
        None => shape(format!("server '{name}' has no url")),
    }
}

fn flag(name: &str, item: &Value, key: &str, default: bool) -> Result<bool, ConfigError> {
    match item.get(key) {
        None => Ok(default),
        Some(value) => value
            .as_bool()
            .ok_or_else(|| ConfigError::Shape(format!("'{key}' of server '{name}' is no boolean"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn array_form() {
        let config = McpConfig::parse(
            r#"{"servers": [
                {"name": "files", "source": {"type": "Process", "command": "fs", "args": ["."], "env": {"A": "1"}}},
                {"name": "web", "enabled": false, "source": {"type": "Http", "url": "https://example.org/mcp"}}
            ]}"#,
        )
        .unwrap();
        assert_eq!(
            config.servers[0].source,
            McpSource::Process {
                command: "fs".into(),
                args: vec![".".into()],
                env: vec![("A".into(), "1".into())],
            }
        );
        assert_eq!(config.enabled().count(), 1);
    }

    #[test]
    fn object_form() {
        let config = McpConfig::parse(
            r#"{"mcpServers": {"a": {"command": "x"}, "b": {"url": "wss://h/"}, "c": {"url": "http://h/", "disabled": true}}}"#,
        )
        .unwrap();
        let names: Vec<_> = config.enabled().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(matches!(
            config.servers[1].source,
            McpSource::WebSocket { .. }
        ));
    }

    #[test]
    fn errors_name_the_server() {
        for (text, part) in [
            ("{", "not JSON"),
            ("{}", "neither"),
            (r#"{"servers": [], "mcpServers": {}}"#, "both"),
            (r#"{"servers": {}}"#, "not an array"),
            (r#"{"servers": [{"source": {}}]}"#, "servers[0]"),
            (
                r#"{"servers": [{"name": "n", "source": {"type": "Pipe"}}]}"#,
                "'Pipe'",
            ),
            (r#"{"mcpServers": {"n": {}}}"#, "'n'"),
            (
                r#"{"mcpServers": {"n": {"command": "x", "args": [1]}}}"#,
                "args of server 'n'",
            ),
            (r#"{"mcpServers": {"n": {"url": "ftp://h"}}}"#, "ftp://h"),
        ] {
            let message = McpConfig::parse(text).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn names_are_unique() {
        let server = r#"{"name": "n", "source": {"type": "Process", "command": "x"}}"#;
        let error = McpConfig::parse(&format!("{{\"servers\": [{server}, {server}]}}"));
        assert!(error.unwrap_err().to_string().contains("twice"));
    }
}
