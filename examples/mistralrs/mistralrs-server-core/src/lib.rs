//! The HTTP server of the scale model: a small HTTP/1.1 on threads, with the routes
//! of the OpenAI interface.

mod handlers;
mod http;
mod openai;
mod server;

pub use server::{Handle, Server};

/// What the handlers need to know.
#[derive(Debug)]
pub struct State {
    pub model: mistralrs_core::ToyModel,
    pub mcp: Option<mistralrs_core::mcp::McpConfig>,
}
