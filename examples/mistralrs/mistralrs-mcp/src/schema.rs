//! JSON Schema of the configuration, for the OpenAPI description of the server.

use crate::json::Value;

fn typed(kind: &str) -> Value {
    Value::object([("type", Value::from(kind))])
}

/// The schema of one entry of the `servers` array.
pub fn mcp_server() -> Value {
    Value::object([
        ("type", Value::from("object")),
        ("required", vec!["name", "source"].into()),
        (
            "properties",
            Value::object([
                ("name", typed("string")),
                ("enabled", typed("boolean")),
                ("source", typed("object")),
            ]),
        ),
    ])
}

#[cfg(test)]
mod tests {
    #[test]
    fn required_properties_are_described() {
        let schema = super::mcp_server();
        let properties = schema.get("properties").unwrap();
        for name in schema.get("required").unwrap().as_array().unwrap() {
            assert!(properties.get(name.as_str().unwrap()).is_some());
        }
    }
}
