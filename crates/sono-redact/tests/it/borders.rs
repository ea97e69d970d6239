//! Secrets at the borders of buffers.

use proptest::prelude::*;
use sono_redact::{Known, KnownValues, Layers, Redactor, TextStream};

const SECRET: &str = "Zq8wL2mPx7Rt-Yv3nKc5s";
/// The end of the first block, and the end of what is read with it.
const BORDERS: [usize; 2] = [128 << 10, 148 << 10];

fn redactor() -> Redactor {
    let mut values = KnownValues::default();
    values.add("password", SECRET.as_bytes());
    Redactor::new(Known::Values(values))
}

fn whole(mut stream: TextStream<'_>, text: &[u8], piece: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in text.chunks(piece.max(1)) {
        stream.push(piece, &mut out);
    }
    stream.finish(&mut out);
    out
}

fn filled(size: usize) -> Vec<u8> {
    b"a line of an ordinary log, with words only\n"
        .iter()
        .copied()
        .cycle()
        .take(size)
        .collect()
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|bytes| bytes == part)
}

/// A value, an assignment and a key at each offset around the borders of blocks.
#[test]
fn secrets_at_every_offset_around_borders_vanish() {
    let known = redactor();
    let unknown = Redactor::default();
    let key = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIZq8wL2mPx7RtYv3nKc5s\n-----END EC PRIVATE KEY-----\n";
    let base = filled(160 << 10);
    for border in BORDERS {
        for offset in border - 70..=border + 70 {
            let mut text = base.clone();
            text.splice(offset..offset, SECRET.bytes());
            assert!(
                !holds(&whole(known.stream(Layers::Known), &text, 1 << 20), SECRET.as_bytes()),
                "{offset}"
            );
        }
        for offset in (border - 100..=border + 10).step_by(3) {
            let mut text = base.clone();
            text.splice(offset..offset, format!("\n{key}\npassword={SECRET}\n").bytes());
            let out = whole(unknown.stream(Layers::All), &text, 1 << 20);
            assert!(!holds(&out, b"MHcCAQ") && !holds(&out, b"Zq8wL2mPx7Rt"), "{offset}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// The result depends on the text, not on the sizes of its pieces.
    #[test]
    fn result_does_not_depend_on_pieces(offset in 0_usize..200_000, piece in 1_usize..70_000, form in 0_usize..4) {
        let redactor = redactor();
        let mut text = filled(200_000);
        let secret = match form {
            0 => SECRET.to_owned(),
            1 => format!("{{\"password\":\"{SECRET}\"}}"),
            2 => SECRET.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat(),
            _ => SECRET.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat(),
        };
        text.splice(offset..offset, secret.bytes());
        let at_once = whole(redactor.stream(Layers::All), &text, usize::MAX);
        let in_pieces = whole(redactor.stream(Layers::All), &text, piece);
        prop_assert!(at_once == in_pieces);
        prop_assert!(!holds(&at_once, secret.as_bytes()));
        prop_assert_eq!(at_once.windows(10).filter(|bytes| *bytes == b"[redacted]").count(), 1);
    }
}
