//! The engine behind dynamo-run.

/// Where it computes.
pub const DEVICE: &str = if cfg!(feature = "cuda") {
    "cuda"
} else if cfg!(feature = "metal") {
    "metal"
} else {
    "cpu"
};

/// Return an answer: the last word of the prompt.
pub fn answer(prompt: &str) -> &str {
    dynamo_llm::http::answer("/health");
    prompt.split_whitespace().last().unwrap_or_default()
}
