//! Names that the cluster takes (RFC 1123). What is wrong with one is said before anything is created.

use sono_types::ids::{is_label, is_subdomain};

/// The name of a namespace.
pub(crate) fn namespace(text: &str) -> Result<String, &'static str> {
    let refused = "a namespace is called by lower-case letters, digits and inner dashes, at most 63";
    is_label(text).then(|| text.to_owned()).ok_or(refused)
}

/// The name of a service account.
pub(crate) fn object(text: &str) -> Result<String, &'static str> {
    let refused = "it is called by lower-case letters, digits, and inner dashes and dots, at most 253";
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
