//! Formats of names and numbers in the Kubernetes API.

/// Checks an RFC 1123 label: at most 63 lower-case letters, digits and dashes.
pub(super) fn label(text: &str) -> Result<(), String> {
    if is_label(text) {
        return Ok(());
    }
    Err(format!(
        "invalid name `{text}`: expected at most 63 lower-case letters, digits and `-`, with a letter or digit at both ends"
    ))
}

fn is_label(text: &str) -> bool {
    text.len() <= 63
        && is_within(
            text,
            |byte| byte == b'-',
            |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit(),
        )
}

/// Whether a text has letters at both ends, and letters or other given characters in between.
fn is_within(text: &str, between: impl Fn(u8) -> bool, letter: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let at_ends = bytes.first().is_some_and(|byte| letter(*byte)) && bytes.last().is_some_and(|byte| letter(*byte));
    at_ends && bytes.iter().all(|byte| letter(*byte) || between(*byte))
}

/// Checks an RFC 1123 subdomain: labels joined by dots, at most 253 characters.
pub(super) fn subdomain(text: &str) -> Result<(), String> {
    if is_subdomain(text) {
        return Ok(());
    }
    Err(format!(
        "invalid name `{text}`: expected at most 253 lower-case letters, digits, `-` and `.`, with a letter or digit at both ends"
    ))
}

fn is_subdomain(text: &str) -> bool {
    // Kubernetes limits the total length, not that of each part.
    let part = |part: &str| {
        is_within(
            part,
            |byte| byte == b'-',
            |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit(),
        )
    };
    text.len() <= 253 && text.split('.').all(part)
}

/// Checks the key of a label or an extended resource: a name, or `example.org/name`.
pub(super) fn qualified_name(text: &str) -> Result<(), String> {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    if prefix.is_none_or(is_subdomain) && !name.is_empty() && is_label_value(name) {
        return Ok(());
    }
    Err(format!(
        "invalid key `{text}`: expected an optional prefix such as `example.org/` and at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends"
    ))
}

fn is_label_value(text: &str) -> bool {
    let between = |byte| b"-_.".contains(&byte);
    text.is_empty() || (text.len() <= 63 && is_within(text, between, |byte| byte.is_ascii_alphanumeric()))
}

/// Checks the value of a label.
pub(super) fn label_value(text: &str) -> Result<(), String> {
    if is_label_value(text) {
        return Ok(());
    }
    Err(format!(
        "invalid label value `{text}`: expected at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends"
    ))
}

/// Checks the key of a ConfigMap or Secret.
pub(super) fn config_map_key(text: &str) -> Result<(), String> {
    let letters = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !text.is_empty() && text.len() <= 253 && letters && text != "." && !text.starts_with("..") {
        return Ok(());
    }
    Err(format!(
        "invalid ConfigMap key `{text}`: expected at most 253 letters, digits, `-`, `_` and `.`; not `.` and not starting with `..`"
    ))
}

/// Checks the name of a variable, as accepted by Kubernetes 1.32 and later.
pub(super) fn variable(text: &str) -> Result<(), String> {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=') {
        return Ok(());
    }
    Err(format!(
        "invalid variable name `{text}`: expected printable ASCII characters without `=`"
    ))
}

/// Whether releases before 1.32 accept the name of a variable, too.
pub(crate) fn is_old_variable(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    let letters = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    first && letters && text != "." && !text.starts_with("..")
}

/// Checks the name of a port (IANA service name).
pub(super) fn port_name(text: &str) -> Result<(), String> {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_name = text.len() <= 15
        && is_within(text, |byte| byte == b'-', letters)
        && text.bytes().any(|byte| byte.is_ascii_lowercase())
        && !text.contains("--");
    if is_name {
        return Ok(());
    }
    Err(format!(
        "invalid port name `{text}`: expected at most 15 lower-case letters, digits and single `-`, with at least one letter and a letter or digit at both ends"
    ))
}

/// Checks a relative path.
pub(super) fn relative_path(text: &str) -> Result<(), String> {
    if text.starts_with('/') {
        return Err(format!("`{text}` is not a relative path"));
    }
    without_parents(text)
}

/// Checks an absolute path.
pub(super) fn absolute_path(text: &str) -> Result<(), String> {
    if text.starts_with('/') {
        return Ok(());
    }
    Err(format!("`{text}` is not an absolute path"))
}

/// Checks the name of a kernel parameter.
pub(super) fn sysctl(text: &str) -> Result<(), String> {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let part = |part: &str| is_within(part, |byte| b"-_".contains(&byte), letters);
    if text.len() <= 253 && text.split(['.', '/']).all(part) {
        return Ok(());
    }
    Err(format!("`{text}` is not the name of a kernel parameter"))
}

/// Checks an IPv4 or IPv6 address.
pub(super) fn ip(text: &str) -> Result<(), String> {
    match text.parse::<std::net::IpAddr>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("`{text}` is not an IP address")),
    }
}

/// Checks that a path has no `..`.
pub(super) fn without_parents(text: &str) -> Result<(), String> {
    if text.split('/').any(|part| part == "..") {
        return Err(format!("`{text}` contains `..`"));
    }
    Ok(())
}

/// Numeric value of a quantity such as `100m` or `1Gi`.
pub(super) fn quantity(text: &str) -> Option<f64> {
    let text = text.trim();
    let end = text
        .find(|letter: char| !letter.is_ascii_digit() && !"+-.".contains(letter))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let digits = number.strip_prefix(['+', '-']).unwrap_or(number);
    let is_number = !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && digits.matches('.').count() <= 1;
    // Kubernetes reads a single `.` as 0.
    let number: f64 = match digits {
        "." => 0.0,
        _ if is_number => number.parse().ok()?,
        _ => return None,
    };
    let factor = match unit {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 2_f64.powi(10),
        "Mi" => 2_f64.powi(20),
        "Gi" => 2_f64.powi(30),
        "Ti" => 2_f64.powi(40),
        "Pi" => 2_f64.powi(50),
        "Ei" => 2_f64.powi(60),
        exponent => 10_f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    Some(number * factor)
}
