//! Checks that crates' own `.clippy.toml` files repeat the root's lines: clippy replaces the root's file, it does not merge them.

/// The root's lines that are missing in the copy, except for brackets, blank lines and comments.
pub(super) fn missing<'a>(root: &'a str, copy: &str) -> Vec<&'a str> {
    root.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['[', ']', '#']))
        .filter(|line| copy.lines().all(|other| other.trim() != *line))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "a = true\n\n# why\nb = [\n  { path = \"c\" },\n]\n";

    #[test]
    fn copy_with_more_lines_is_accepted() {
        assert_eq!(
            missing(ROOT, "a = true\nb = [\n{ path = \"c\" },\n{ path = \"d\" },\n]\n"),
            Vec::<&str>::new()
        );
    }

    #[test]
    fn copy_with_fewer_lines_is_reported() {
        assert_eq!(
            missing(ROOT, "a = false\nb = [\n]\n# { path = \"c\" },\n"),
            ["a = true", "{ path = \"c\" },"]
        );
    }
}
