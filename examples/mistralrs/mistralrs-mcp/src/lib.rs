//! Configuration of MCP servers, the JSON-RPC messages that are exchanged with
//! them, and the small JSON implementation which the whole workspace shares.
//!
//! ```
//! use mistralrs_mcp::McpConfig;
//!
//! let config = McpConfig::parse(r#"{"mcpServers": {"time": {"command": "uvx"}}}"#)?;
//! assert_eq!(config.servers[0].name, "time");
//! # Ok::<(), mistralrs_mcp::ConfigError>(())
//! ```

pub mod config;
pub mod json;
pub mod rpc;
#[cfg(feature = "utoipa")]
pub mod schema;

pub use config::{ConfigError, McpConfig, McpServer, McpSource};
pub use json::{JsonError, Value};
pub use rpc::{Id, Message, RpcError};
