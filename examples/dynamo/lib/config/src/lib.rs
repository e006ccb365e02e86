//! What the environment says about a deployment.

/// Whether a variable is set to something that means yes.
///
/// ```
/// assert!(dynamo_config::is_truthy("On"));
/// assert!(!dynamo_config::is_truthy("0"));
/// ```
pub fn is_truthy(value: &str) -> bool {
    matches!(
        value.to_ascii_lowercase().as_str(),
        "1" | "true" | "on" | "yes"
    )
}

/// The value of a variable, or a default.
pub fn value_or(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unset_variable_has_the_default() {
        assert_eq!(value_or("DYN_SURELY_UNSET", "x"), "x");
    }
}
