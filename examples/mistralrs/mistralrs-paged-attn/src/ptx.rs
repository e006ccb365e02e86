//! The compiled kernel, as text for the CUDA driver. The model looks into it, but does
//! not launch it: the driver API is not linked.

/// PTX of `kernels/paged_attention.cu`.
pub const PAGED_ATTENTION: &str = include_str!(concat!(env!("OUT_DIR"), "/paged_attention.ptx"));

/// The names of the kernels.
pub fn entry_points() -> Vec<&'static str> {
    PAGED_ATTENTION
        .split(".entry ")
        .skip(1)
        .filter_map(|rest| rest.split('(').next())
        .map(str::trim)
        .collect()
}

/// The architecture that the PTX needs at least, as `sm_75`.
pub fn target() -> Option<&'static str> {
    PAGED_ATTENTION
        .lines()
        .find_map(|line| line.strip_prefix(".target "))
        .and_then(|targets| targets.split(',').next())
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_kernels() {
        let mut names = entry_points();
        names.sort_unstable();
        assert_eq!(names, ["attention_scores", "gather_rows"]);
        assert!(target().unwrap().starts_with("sm_"));
    }
}
