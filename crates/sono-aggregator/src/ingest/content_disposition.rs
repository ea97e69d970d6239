//! The file name in `Content-Disposition` (RFC 2183, RFC 8187), with the rules that Sonobuoy's workers rely on.

use std::collections::BTreeMap;

use sono_types::constants::DEFAULT_FILE_NAME;

/// The name under which a result is stored. No header, no name, or a header that does not parse (such as an unquoted
/// name with a space) gives `result`, as in core §2.4. The client chooses the name, so it may be hostile.
pub fn file_name(header: Option<&str>) -> String {
    header
        .and_then(parse)
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| DEFAULT_FILE_NAME.to_owned())
}

fn parse(header: &str) -> Option<String> {
    let mut rest = header.trim();
    let kind_end = rest.find(';').unwrap_or(rest.len());
    if !is_token(rest[..kind_end].trim()) {
        return None;
    }
    rest = &rest[kind_end..];
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    while let Some(after) = rest.strip_prefix(';') {
        let parameter = after.trim_start();
        if parameter.is_empty() {
            break;
        }
        let (name, after_name) = parameter.split_once('=')?;
        let (value, after_value) = value(after_name.trim_start())?;
        let name = name.trim().to_ascii_lowercase();
        if !is_token(&name) {
            return None;
        }
        // Two equal parameters are accepted; different ones are not.
        if parameters
            .insert(name, value.clone())
            .is_some_and(|before| before != value)
        {
            return None;
        }
        rest = after_value.trim_start();
    }
    if !rest.is_empty() && rest != ";" {
        return None;
    }
    let extended = parameters.get("filename*").and_then(|value| decode_extended(value));
    extended
        .or_else(|| continued(&parameters))
        .or_else(|| parameters.get("filename").cloned())
}

/// A name in segments (RFC 2231): `filename*0`, `filename*1*` and so on; segments with a star at the end are encoded, and
/// the first of these names the charset.
fn continued(parameters: &BTreeMap<String, String>) -> Option<String> {
    let mut name = String::new();
    for number in 0.. {
        let plain = parameters.get(&format!("filename*{number}"));
        let encoded = parameters.get(&format!("filename*{number}*"));
        match (plain, encoded) {
            (Some(plain), _) => name.push_str(plain),
            (None, Some(encoded)) if number == 0 => name.push_str(&decode_extended(encoded)?),
            (None, Some(encoded)) => name.push_str(&percent_decoded(encoded)?),
            (None, None) => break,
        }
    }
    Some(name).filter(|name| !name.is_empty())
}

/// A token or a quoted string, and the rest after it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text
            .find(|letter: char| letter == ';' || letter.is_ascii_whitespace())
            .unwrap_or(text.len());
        let token = &text[..end];
        return is_token(token).then(|| (token.to_owned(), &text[end..]));
    };
    let mut name = String::new();
    let mut letters = quoted.char_indices().peekable();
    while let Some((position, letter)) = letters.next() {
        match letter {
            '"' => return Some((name, &quoted[position + 1..])),
            '\r' | '\n' => return None,
            // Only quotes and backslashes may be escaped: a Windows path is unchanged.
            '\\' if letters.peek().is_some_and(|(_, next)| SPECIAL.contains(*next)) => {
                name.push(letters.next()?.1);
            }
            letter => name.push(letter),
        }
    }
    None
}

/// `UTF-8''percent-encoded`; `None` for other charsets and invalid encodings.
fn decode_extended(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let charset = parts.next()?;
    let (_language, encoded) = (parts.next()?, parts.next()?);
    let known = ["utf-8", "us-ascii"]
        .iter()
        .any(|known| charset.eq_ignore_ascii_case(known));
    known.then(|| percent_decoded(encoded)).flatten()
}

fn percent_decoded(encoded: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = encoded.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

/// Characters that a token cannot contain (RFC 2045 §5.1).
const SPECIAL: &str = "()<>@,;:\\\"/[]?=";

fn is_token(text: &str) -> bool {
    let letter = |letter: char| letter.is_ascii_graphic() && !SPECIAL.contains(letter);
    !text.is_empty() && text.chars().all(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_of_workers_are_parsed() {
        for (header, name) in [
            (None, "result"),
            (Some(""), "result"),
            (Some("attachment"), "result"),
            (Some("attachment;filename="), "result"),
            (Some("attachment;filename=junit_01.xml"), "junit_01.xml"),
            (Some("attachment; filename=out.tar.gz"), "out.tar.gz"),
            (Some("Attachment; FileName=a;"), "a"),
            (Some(r#"attachment;filename="a b (1).txt""#), "a b (1).txt"),
            (Some(r#"attachment;filename="a\"b""#), "a\"b"),
            (Some("attachment;filename*=UTF-8''na%C3%AFve.txt"), "naïve.txt"),
            (Some("attachment;filename=a;filename*=UTF-8''b"), "b"),
            (Some("attachment;filename=a;filename*=latin1''b"), "a"),
            (Some("attachment;filename=a;filename*=UTF-8''%+1"), "a"),
            (
                Some("attachment;filename*0*=UTF-8''na%C3%AFve;filename*1=\" one\";filename*2*=%2Etxt"),
                "na\u{ef}ve one.txt",
            ),
            (Some(r#"attachment;filename="C:\dir\out.txt""#), r"C:\dir\out.txt"),
            (Some("attachment;filename=a;filename=a"), "a"),
            (Some("attachment;filename=a;filename=b"), "result"),
            (Some("attachment;filename=\"a\nb\""), "result"),
            // Not tokens, not quoted: parse errors.
            (Some("attachment;filename=a b"), "result"),
            (Some("attachment;filename=a(1)"), "result"),
            (Some("attachment;filename=../x"), "result"),
            (Some("attachment;filename=ä"), "result"),
            (Some(r#"attachment;filename="open"#), "result"),
            // Hostile but well formed: staging refuses it.
            (Some(r#"attachment;filename="../../etc/passwd""#), "../../etc/passwd"),
        ] {
            assert_eq!(file_name(header), name, "{header:?}");
        }
    }
}
