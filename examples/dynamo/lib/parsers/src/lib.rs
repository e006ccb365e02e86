//! What a model's answer holds besides text.

/// Split an answer at its reasoning: (reasoning, text).
pub fn split_reasoning(answer: &str) -> (&str, &str) {
    match answer
        .strip_prefix("<think>")
        .and_then(|rest| rest.split_once("</think>"))
    {
        Some((reasoning, text)) => (reasoning.trim(), text.trim()),
        None => ("", answer.trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasoning_comes_first() {
        assert_eq!(split_reasoning("<think> a </think> b"), ("a", "b"));
        assert_eq!(split_reasoning("b"), ("", "b"));
    }
}
