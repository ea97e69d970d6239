//! The file name in `Content-Disposition` (RFC 2183, RFC 8187), with the rules that Sonobuoy's workers rely on.

use sono_types::constants::DEFAULT_FILE_NAME;

/// The name under which a result is stored. No header, no name, or a header that does not parse (such as an unquoted
/// name with a space) gives `result`, as in core spec §2.4. The name is what the client says: it may be hostile.
pub(crate) fn file_name(header: Option<&str>) -> String {
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
    let (mut plain, mut extended) = (None, None);
    while let Some(after) = rest.strip_prefix(';') {
        let parameter = after.trim_start();
        if parameter.is_empty() {
            break;
        }
        let (name, after_name) = parameter.split_once('=')?;
        let (value, after_value) = value(after_name.trim_start())?;
        match name.trim().to_ascii_lowercase().as_str() {
            "filename" => plain = Some(value),
            "filename*" => extended = Some(decode_extended(&value)?),
            name if is_token(name) => {}
            _ => return None,
        }
        rest = after_value.trim_start();
    }
    if rest.trim().is_empty() || rest.trim() == ";" {
        extended.or(plain)
    } else {
        None
    }
}

/// A token or a quoted string, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text
            .find(|letter: char| letter == ';' || letter.is_ascii_whitespace())
            .unwrap_or(text.len());
        let token = &text[..end];
        return is_token(token).then(|| (token.to_owned(), &text[end..]));
    };
    let mut name = String::new();
    let mut letters = quoted.char_indices();
    while let Some((position, letter)) = letters.next() {
        match letter {
            '"' => return Some((name, &quoted[position + 1..])),
            '\\' => name.push(letters.next()?.1),
            letter => name.push(letter),
        }
    }
    None
}

/// `UTF-8''percent-encoded`.
fn decode_extended(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let charset = parts.next()?;
    let (_language, encoded) = (parts.next()?, parts.next()?);
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let mut bytes = Vec::new();
    let mut rest = encoded.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_workers_send_them() {
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
            // Not tokens, not quoted: parse errors.
            (Some("attachment;filename=a b"), "result"),
            (Some("attachment;filename=a(1)"), "result"),
            (Some("attachment;filename=../x"), "result"),
            (Some("attachment;filename=ä"), "result"),
            (Some(r#"attachment;filename="open"#), "result"),
            // Hostile, but well formed: it is for the store to refuse.
            (Some(r#"attachment;filename="../../etc/passwd""#), "../../etc/passwd"),
        ] {
            assert_eq!(file_name(header), name, "{header:?}");
        }
    }
}
