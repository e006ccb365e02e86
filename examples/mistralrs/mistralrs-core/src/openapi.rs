//! The OpenAPI description of the HTTP server.

use mistralrs_mcp::{schema, Value};

/// Method, path and summary of each route.
pub const ROUTES: [(&str, &str, &str); 4] = [
    ("get", "/health", "Tells that the server is up"),
    ("get", "/v1/models", "Lists the served model"),
    ("post", "/v1/chat/completions", "Answers a conversation"),
    ("post", "/v1/completions", "Continues a text"),
];

pub fn document() -> Value {
    let paths = ROUTES.map(|(method, path, summary)| {
        let operation = Value::object([("summary", Value::from(summary))]);
        (path, Value::object([(method, operation)]))
    });
    Value::object([
        ("openapi", Value::from("3.1.0")),
        (
            "info",
            Value::object([
                ("title", Value::from("mistralrs scale model")),
                ("version", crate::VERSION.into()),
            ]),
        ),
        ("paths", Value::object(paths)),
        (
            "components",
            Value::object([(
                "schemas",
                Value::object([("McpServer", schema::mcp_server())]),
            )]),
        ),
    ])
}

#[cfg(test)]
mod tests {
    #[test]
    fn describes_all_routes() {
        let document = super::document();
        let paths = document.get("paths").unwrap().as_object().unwrap();
        assert_eq!(paths.len(), super::ROUTES.len());
    }
}
