//! The answers of the HTTP service.

/// Return (status, body) for a path.
pub fn answer(path: &str) -> (u16, String) {
    match path {
        "/health" => (200, r#"{"status":"healthy"}"#.to_string()),
        "/v1/models" => (200, r#"{"object":"list","data":[]}"#.to_string()),
        _ => (404, r#"{"error":"no such path"}"#.to_string()),
    }
}
