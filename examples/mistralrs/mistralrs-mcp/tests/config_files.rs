//! Reads configurations from files, as the server does.

use std::{env, fs, process};

use mistralrs_mcp::{ConfigError, McpConfig};

#[test]
fn loads_a_file() {
    let path = env::temp_dir().join(format!("mcp-config-{}.json", process::id()));
    fs::write(
        &path,
        r#"{"mcpServers": {"time": {"command": "uvx", "args": ["t"]}}}"#,
    )
    .unwrap();
    let config = McpConfig::load(&path);
    fs::remove_file(&path).unwrap();
    assert_eq!(config.unwrap().servers.len(), 1);
}

#[test]
fn missing_file_is_named() {
    let path = env::temp_dir().join("no-such-mcp-config.json");
    let error = McpConfig::load(&path).unwrap_err();
    assert!(matches!(error, ConfigError::Io(..)));
    assert!(error.to_string().contains("no-such-mcp-config.json"));
}
