//! Certificates and keys of a kubeconfig, as lenient as Go's clients: base64 in lines, and PEM between other lines.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use rustls::pki_types::PrivateKeyDer;

/// Padding may be missing.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const BEGIN: &str = "-----BEGIN ";

/// Decodes a `…-data` field. Whitespace is ignored; data that `!!binary` wraps again is decoded twice; plain PEM is
/// returned as is.
pub(super) fn decode_data(value: &str) -> Option<Vec<u8>> {
    if value.contains(BEGIN) {
        return Some(value.as_bytes().to_vec());
    }
    let decoded = decode(value)?;
    let text = std::str::from_utf8(&decoded).ok();
    let twice = text.filter(|text| !text.contains(BEGIN)).and_then(decode);
    Some(match twice {
        Some(twice) if is_pem(&twice) => twice,
        _ => decoded,
    })
}

fn decode(value: &str) -> Option<Vec<u8>> {
    let dense: String = value.split_whitespace().collect();
    LENIENT.decode(dense).ok()
}

fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(BEGIN.len()).any(|window| window == BEGIN.as_bytes())
}

/// The PEM blocks of a text, with label and content. Other lines, and blocks that cannot be decoded, are skipped.
fn blocks(text: &[u8]) -> Vec<(String, Vec<u8>)> {
    let text = String::from_utf8_lossy(text);
    let mut found = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text
        .lines()
        .map(|line| line.trim_matches(['\u{feff}', ' ', '\t', '\r']))
    {
        if let Some(label) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix("-----")) {
            open = Some((label.to_owned(), String::new()));
        } else if line.starts_with("-----END ") {
            let block = open.take();
            found.extend(block.and_then(|(label, content)| Some((label, decode(&content)?))));
        } else if let Some((_, content)) = &mut open {
            content.push_str(line);
        }
    }
    found
}

/// The certificates of a text, in DER.
pub(super) fn certificates(text: &[u8]) -> Vec<Vec<u8>> {
    let blocks = blocks(text).into_iter();
    blocks
        .filter_map(|(label, content)| (label == "CERTIFICATE").then_some(content))
        .collect()
}

/// The first private key of a text, as PEM with the correct label: some programs write a wrong label, or parameters
/// before the key.
pub(super) fn private_key(text: &[u8]) -> Option<String> {
    let (_, key) = blocks(text)
        .into_iter()
        .find(|(label, _)| label.ends_with("PRIVATE KEY"))?;
    let label = match PrivateKeyDer::try_from(key.as_slice()).ok()? {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    Some(encode(label, &key))
}

/// Encodes a PEM block.
pub(super) fn encode(label: &str, content: &[u8]) -> String {
    let encoded = STANDARD.encode(content);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

/// Encodes base64 in one line.
pub(super) fn encode_data(content: &[u8]) -> String {
    STANDARD.encode(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_wrapped_in_lines_or_encoded_twice_is_decoded() {
        let pem = encode("CERTIFICATE", b"abcdefgh");
        let once = encode_data(pem.as_bytes());
        let (left, right) = once.split_at(20);
        for text in [
            once.clone(),
            format!("{left}\n{right}\n"),
            format!(" {left}\r\n\t{right} "),
            once.trim_end_matches('=').to_owned(),
            encode_data(once.as_bytes()),
            pem.clone(),
        ] {
            assert_eq!(decode_data(&text).as_deref(), Some(pem.as_bytes()), "{text}");
        }
        assert_eq!(decode_data("aGVsbG8="), Some(b"hello".to_vec()));
        assert_eq!(decode_data("%%%"), None);
    }

    #[test]
    fn bundle_with_comments_marks_and_broken_blocks_gives_its_certificates() {
        let (one, two) = (encode("CERTIFICATE", b"one"), encode("CERTIFICATE", b"two"));
        let bundle = format!(
            "\u{feff}{one}# a comment\nsubject=CN\n{}-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n{}-----BEGIN CERTIFICATE-----\nAAAA",
            two.replace('\n', "  \r\n"),
            encode("EC PARAMETERS", b"three"),
        );
        assert_eq!(certificates(bundle.as_bytes()), [b"one".to_vec(), b"two".to_vec()]);
        assert_eq!(certificates(b"\xff\xfe-----BEGIN"), Vec::<Vec<u8>>::new());
    }
}
