//! A crate's own `.clippy.toml` replaces the root's, it is not merged: so the stricter ones of some crates repeat it.

/// The root's lines that the copy lacks, apart from brackets, blank lines and comments.
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
    fn a_copy_may_have_more() {
        assert_eq!(
            missing(ROOT, "a = true\nb = [\n{ path = \"c\" },\n{ path = \"d\" },\n]\n"),
            Vec::<&str>::new()
        );
    }

    #[test]
    fn a_copy_may_not_have_less() {
        assert_eq!(
            missing(ROOT, "a = false\nb = [\n]\n# { path = \"c\" },\n"),
            ["a = true", "{ path = \"c\" },"]
        );
    }
}
