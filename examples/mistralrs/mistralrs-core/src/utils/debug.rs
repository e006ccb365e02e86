//! Debug lines on stderr, if the environment has `MISTRALRS_DEBUG=1`.

use std::{env, fmt, sync::OnceLock};

/// Whether debug lines are wanted; decided once, at the first call.
pub fn enabled() -> bool {
    static ENABLED: OnceLock<bool> = OnceLock::new();
    *ENABLED.get_or_init(|| is_on(env::var("MISTRALRS_DEBUG").ok().as_deref()))
}

fn is_on(value: Option<&str>) -> bool {
    value == Some("1")
}

/// Writes a line; use it through [`debug_line!`](crate::debug_line).
pub fn write(module: &str, text: fmt::Arguments<'_>) {
    eprintln!("DEBUG {module}: {text}");
}

/// Formats a line like `format!`, but only if it is wanted.
#[macro_export]
macro_rules! debug_line {
    ($($arg:tt)*) => {
        if $crate::utils::debug::enabled() {
            $crate::utils::debug::write(module_path!(), format_args!($($arg)*));
        }
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_one_switches_on() {
        assert!(super::is_on(Some("1")));
        for other in [None, Some(""), Some("0"), Some("true")] {
            assert!(!super::is_on(other));
        }
    }
}
