//! Kubernetes object names (RFC 1123), checked before anything is created.

use sono_types::ids::{is_label, is_subdomain};

/// Parses the name of a namespace.
pub(crate) fn namespace(text: &str) -> Result<String, &'static str> {
    let refused = "expected at most 63 lower-case letters, digits and dashes, with a letter or digit at both ends";
    is_label(text).then(|| text.to_owned()).ok_or(refused)
}

/// Parses the name of a service account.
pub(crate) fn object(text: &str) -> Result<String, &'static str> {
    let refused =
        "expected at most 253 lower-case letters, digits, dashes and dots, with a letter or digit at both ends";
    is_subdomain(text).then(|| text.to_owned()).ok_or(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_kubernetes() {
        for (text, is_namespace, is_object) in [
            ("a", true, true),
            ("a-1", true, true),
            ("a.b", false, true),
            ("", false, false),
            ("A", false, false),
            ("-a", false, false),
            ("a_b", false, false),
            (&"a".repeat(63), true, true),
            (&"a".repeat(64), false, true),
            (&"a".repeat(254), false, false),
        ] {
            assert_eq!(
                (namespace(text).is_ok(), object(text).is_ok()),
                (is_namespace, is_object),
                "{text}"
            );
        }
    }
}
