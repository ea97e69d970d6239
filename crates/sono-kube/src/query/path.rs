//! Percent-encoding for URLs.

use std::fmt::Write as _;

/// Encodes `text` as a value in a URL's query, or as one segment of its path.
pub fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string cannot fail");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_characters_are_escaped() {
        assert_eq!(
            encode("app in (a,b)=ü&c-d._~/"),
            "app%20in%20%28a%2Cb%29%3D%C3%BC%26c-d._~%2F"
        );
    }
}
