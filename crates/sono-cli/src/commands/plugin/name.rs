//! Names of installed plugins. Pure.

/// Validates the name of an installed plugin. `/` separates subdirectories.
pub(super) fn check(name: &str) -> Result<(), &'static str> {
    let name = name.strip_suffix(".yaml").unwrap_or(name);
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
    for part in name.split('/') {
        if part.is_empty() {
            return Err("a part of the name is empty");
        }
        if !part.chars().all(is_letter) {
            return Err("only letters, digits, `.`, `-` and `_` are allowed");
        }
        if part.starts_with(['.', '-']) {
            return Err("a part of the name begins with `.` or `-`");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BUG 52: names that `--plugin` cannot find, or that point outside the directory.
    #[test]
    fn invalid_names_are_rejected() {
        for good in ["a", "a.yaml", "sub/My_plugin-1.2"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "", ".yaml", "../a", "/a", "a//b", "a/", "-", "-a", "a b", "a@b", "a\\b", ".hidden", "a:b", "é",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
