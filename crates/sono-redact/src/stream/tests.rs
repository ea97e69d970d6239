use sono_types::canary::{self, Seed, all, at};

use super::*;
use crate::{
    Known, KnownValues, Place, Redactor,
    canary::{CanarySearch, encodings},
};

/// Small sizes, so that each offset in several blocks can be tested.
const SMALL: Sizes = Sizes {
    block: 512,
    reach: 256,
    history: 64,
};
const SIZE: usize = 1_800;

/// The redacted text, which arrives in pieces of this size.
fn redacted(redactor: &Redactor, text: &[u8], piece: usize) -> Vec<u8> {
    let mut stream = redactor.stream(Layers::Known);
    stream.sizes = SMALL;
    let mut out = Vec::new();
    for piece in text.chunks(piece) {
        stream.push(piece, &mut out);
    }
    stream.finish(&mut out);
    out
}

/// A known value in each encoding, at each offset of a text of several blocks.
#[test]
fn known_value_in_each_encoding_at_each_offset_vanishes() {
    let seed = Seed::new(0x00c0_ffee);
    let value = at(seed, canary::Place::Log).0;
    let mut known = KnownValues::default();
    known.add("key", value.as_bytes());
    let redactor = Redactor::new(Known::Values(known));
    let base: Vec<u8> = b"ordinary words of a log\n"
        .iter()
        .copied()
        .cycle()
        .take(SIZE)
        .collect();
    let found = |text: &[u8]| {
        let mut search = CanarySearch::new(seed, all(seed));
        search.file("a", &mut &*text).unwrap();
        search.report().found.len()
    };
    let mut forms = encodings(&value);
    let folded: Vec<String> = value
        .as_bytes()
        .chunks(11)
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect();
    forms.push((crate::Encoding::Folded, folded.join("\n  ")));
    for (encoding, form) in forms {
        // Characters of base64 on either side do not belong to the value.
        let planted = format!(" {form} ");
        let mut control = base.clone();
        control.splice(100..100, planted.bytes());
        assert!(found(&control) > 0, "{encoding:?}");
        for offset in 0..=SIZE {
            let mut text = base.clone();
            text.splice(offset..offset, planted.bytes());
            let out = redacted(&redactor, &text, [SIZE * 2, 100, 513][offset % 3]);
            let hidden = out.windows(10).filter(|bytes| *bytes == b"[redacted]").count();
            let survives = out.windows(form.len()).any(|bytes| bytes == form.as_bytes());
            assert!(
                hidden == 1 && !survives,
                "{encoding:?} at {offset}: {}",
                String::from_utf8_lossy(&out)
            );
        }
    }
}

#[test]
fn places_are_offsets_in_the_whole_text() {
    let mut known = KnownValues::default();
    known.add("password", b"Zq8-wL2mPx");
    let redactor = Redactor::new(Known::Values(known));
    let offsets = [3, BLOCK - 4, BLOCK + 100, 3 * BLOCK + 7];
    let mut text = vec![b'.'; 4 * BLOCK];
    for offset in offsets {
        text[offset..offset + 10].copy_from_slice(b"Zq8-wL2mPx");
    }
    let mut stream = redactor.stream(Layers::Known);
    let mut out = Vec::new();
    for piece in text.chunks(1_000) {
        stream.push(piece, &mut out);
    }
    let place = |offset: usize| Place {
        within: String::new(),
        offset: offset as u64,
        rule: Rule::Known,
    };
    assert_eq!(stream.finish(&mut out).places(), offsets.map(place));
}

#[test]
fn places_of_nested_texts_have_their_path() {
    let place = |within: &str| Place {
        within: within.to_owned(),
        offset: 5,
        rule: Rule::Known,
    };
    let mut inner = Redactions::default();
    inner.add_at("", 5, Rule::Known);
    let (mut middle, mut outer) = (Redactions::default(), Redactions::default());
    middle.merge_nested("b.txt", inner);
    outer.merge_nested("a.tar", middle);
    assert_eq!((outer.places(), outer.total()), (&[place("a.tar!b.txt")][..], 1));
}
