use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// Decodes by byte order mark, by the first bytes of an XML declaration in UTF-16, or by the declaration's `encoding`.
pub(super) fn decode(bytes: &[u8], xml: bool) -> Result<String, String> {
    let encoding = match Encoding::for_bom(bytes) {
        Some((encoding, _)) => encoding,
        None if bytes.starts_with(b"<\0") => UTF_16LE,
        None if bytes.starts_with(b"\0<") => UTF_16BE,
        None if xml => declared(bytes)?,
        None => UTF_8,
    };
    let (text, _, damaged) = encoding.decode(bytes);
    if damaged {
        return Err(format!("not {}", encoding.name()));
    }
    Ok(text.into_owned())
}

fn declared(bytes: &[u8]) -> Result<&'static Encoding, String> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
    let Some(declaration) = head.strip_prefix("<?xml").and_then(|rest| rest.split("?>").next()) else {
        return Ok(UTF_8);
    };
    let Some((_, value)) = declaration.split_once("encoding") else {
        return Ok(UTF_8);
    };
    let label = value.split(['"', '\'']).nth(1).unwrap_or_default();
    Encoding::for_label(label.as_bytes()).ok_or_else(|| format!("unknown encoding `{label}`"))
}
