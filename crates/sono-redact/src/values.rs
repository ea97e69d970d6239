//! Whether a value can be a secret, by its text.

use crate::REDACTED;

const SWITCHES: &[&str] = &[
    "",
    "true",
    "false",
    "null",
    "nil",
    "<nil>",
    "(nil)",
    "none",
    "~",
    "yes",
    "no",
    "on",
    "off",
    "|",
    "|-",
    "|+",
    ">",
    ">-",
    "{}",
    "[]",
    "undefined",
    "n/a",
    "plain",
    "login",
    "required",
    "optional",
    "enabled",
    "disabled",
    "redacted",
    "removed",
    "string",
    "integer",
    "boolean",
    "object",
];
/// Words that continue a sentence after `token:` or `password:`.
const PROSE: &[&str] = &[
    "a",
    "an",
    "and",
    "authentication",
    "cannot",
    "context",
    "could",
    "denied",
    "did",
    "does",
    "empty",
    "error",
    "expected",
    "expired",
    "failed",
    "failure",
    "for",
    "found",
    "from",
    "has",
    "have",
    "illegal",
    "in",
    "incorrect",
    "invalid",
    "is",
    "malformed",
    "mismatch",
    "missing",
    "must",
    "no",
    "not",
    "of",
    "ok",
    "or",
    "permission",
    "rejected",
    "rpc",
    "signature",
    "success",
    "successful",
    "the",
    "this",
    "timeout",
    "to",
    "unable",
    "unauthenticated",
    "unauthorized",
    "unexpected",
    "unknown",
    "unsupported",
    "was",
    "will",
    "with",
    "wrong",
    "x509",
    "file",
    "get",
    "open",
    "read",
    "secret",
    "secrets",
    "token",
    "tokens",
    "key",
    "keys",
    "password",
    "passwords",
    "using",
    "use",
    "used",
];
const ROOTS: &[&str] = &[
    "/var/",
    "/etc/",
    "/run/",
    "/tmp/",
    "/opt/",
    "/usr/",
    "/home/",
    "/mnt/",
    "/secrets/",
    "/root/",
    "/dev/",
    "/data/",
    "/app/",
    "./",
    "file:",
    "~/",
    "vault:",
    "secret:",
    "sha256:",
    "ref+",
];

/// Whether a value can be a secret: not empty, not a switch, not a reference, not a path.
pub(crate) fn can_be_secret(value: &str) -> bool {
    let value = value.trim().trim_matches(['"', '\'', '\\']);
    let starts_reference = ["$(", "${", "{{", "%(", "!vault", "!Ref", "ENC["]
        .iter()
        .any(|start| value.starts_with(start));
    let is_placeholder = value.starts_with('<') && value.ends_with('>');
    let is_variable = value.strip_prefix('$').is_some_and(|name| {
        name.starts_with(|first: char| first.is_ascii_uppercase())
            && name
                .chars()
                .all(|character| character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_')
    });
    let is_mask = value.chars().all(|character| {
        matches!(
            character,
            '*' | 'x' | 'X' | '.' | '-' | '_' | '#' | '?' | '=' | ',' | ')' | '('
        )
    });
    !SWITCHES.iter().any(|word| word.eq_ignore_ascii_case(value))
        && !ROOTS.iter().any(|root| value.starts_with(root))
        && !starts_reference
        && !is_placeholder
        && !is_variable
        && !is_mask
        && !value.contains(REDACTED)
}

/// Whether a value without quotes continues a sentence.
pub(crate) fn is_prose(value: &str) -> bool {
    let first = value.split_whitespace().next().unwrap_or_default();
    let first = first
        .trim_matches(|letter: char| !letter.is_alphanumeric())
        .to_lowercase();
    PROSE.contains(&first.as_str())
}

/// Whether a value is a small number: a count, a size or a version, not a key.
pub(crate) fn is_small_number(value: &str) -> bool {
    value.len() <= 7
        && value
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b's' | b'm' | b'h'))
}

/// Whether a value is a name of objects: lower-case words, also with a namespace. Segments with both letters and digits are
/// random, unless they are as short as a version.
pub(crate) fn is_object_name(value: &str) -> bool {
    let is_segment = |segment: &str| {
        let digits = segment.bytes().filter(u8::is_ascii_digit).count();
        let letters = segment.len() - digits;
        digits == 0 || segment.len() <= 3 || (letters == 0 && digits <= 4)
    };
    value.len() <= 253
        && value.starts_with(|first: char| first.is_ascii_lowercase())
        && value
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'/' | b'_'))
        && value.split(['-', '.', '/', '_']).all(is_segment)
}

/// Whether a value looks like a generated key.
pub(crate) fn looks_random(value: &str) -> bool {
    let value = value.trim_matches(['"', '\'', '\\']);
    let has = |kind: fn(&u8) -> bool| value.bytes().any(|byte| kind(&byte));
    value.len() >= 8
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_alphabetic)
        && !value.contains([' ', '/', ':'])
        && !is_object_name(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_references_and_paths_are_not_secrets() {
        for value in [
            "",
            "true",
            "\"\"",
            "$(DB_PASSWORD)",
            "${P}",
            "$PASSWORD",
            "{{ .Values.p }}",
            "<password>",
            "/etc/token",
            "****",
            "[redacted]",
        ] {
            assert!(!can_be_secret(value), "{value}");
        }
        for value in ["hunter2", "0123", "/abc+def", "$ecret", "P@ss w0rd", "x1"] {
            assert!(can_be_secret(value), "{value}");
        }
    }

    #[test]
    fn names_of_objects_are_not_random() {
        for value in [
            "my-secret",
            "default/my-tls",
            "tls.key",
            "app-v2",
            "tls-2024",
            "password",
        ] {
            assert!(is_object_name(value), "{value}");
        }
        for value in ["hunter2-x", "Zq8", "a1b2c3d4", "key-84629173", ""] {
            assert!(!is_object_name(value), "{value}");
        }
    }
}
