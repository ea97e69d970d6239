//! Planted secrets, each once with and once without a Secret of the cluster behind it.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sono_redact::{Known, KnownValues, Layers, Redactions, Redactor};

use crate::places::{Document, Place, others, reviewed};

/// The secrets that survive without a Secret, with the reason.
const SURVIVORS: &[(&str, &str)] = &[];

fn redacted(redactor: &Redactor, document: &Document) -> String {
    match document {
        Document::Object(object) => {
            let mut object = object.clone();
            redactor.object(&mut object, &|| Duration::ZERO, &mut Redactions::default());
            object.to_string()
        }
        Document::Log(text) => {
            let mut stream = redactor.stream(Layers::All);
            let mut out = Vec::new();
            stream.push(text.as_bytes(), &mut out);
            stream.finish(&mut out);
            String::from_utf8(out).unwrap()
        }
    }
}

/// Whether a text holds the secret, as it is or in base64.
fn holds(text: &str, secret: &str) -> bool {
    let shifted = (0..3).map(|shift: usize| {
        let encoded = STANDARD.encode([vec![b'.'; shift], secret.as_bytes().to_vec()].concat());
        encoded[[0, 2, 3][shift]..encoded.len() - 4].to_owned()
    });
    let escaped = serde_json::to_string(secret).unwrap();
    let escaped = escaped.trim_matches('"');
    text.contains(secret) || text.contains(escaped) || shifted.into_iter().any(|encoded| text.contains(&encoded))
}

fn plain(document: &Document) -> String {
    match document {
        Document::Object(object) => object.to_string(),
        Document::Log(text) => text.clone(),
    }
}

/// Names of the places whose secret survives.
fn survivors(places: &[Place], known: bool) -> Vec<&'static str> {
    let survives = |place: &&Place| {
        let document = (place.plant)(place.secret);
        let redactor = if known {
            let mut values = KnownValues::default();
            values.add("value", place.secret.as_bytes());
            Redactor::new(Known::Values(values))
        } else {
            Redactor::default()
        };
        let text = redacted(&redactor, &document);
        if holds(&text, place.secret) || text == plain(&document) {
            println!("{}: {text}", place.name);
            return true;
        }
        false
    };
    places.iter().filter(survives).map(|place| place.name).collect()
}

#[test]
fn reviewed_secrets_with_a_secret_behind_them_vanish() {
    assert_eq!(reviewed().len(), 71);
    assert_eq!(survivors(&reviewed(), true), Vec::<&str>::new());
}

#[test]
fn other_secrets_with_a_secret_behind_them_vanish() {
    assert_eq!(others().len(), 60);
    assert_eq!(survivors(&others(), true), Vec::<&str>::new());
}

#[test]
fn secrets_without_a_secret_behind_them_vanish_but_for_named_ones() {
    let expected: Vec<&str> = SURVIVORS.iter().map(|(name, _)| *name).collect();
    assert!(expected.len() <= 5);
    let places: Vec<Place> = reviewed().into_iter().chain(others()).collect();
    assert_eq!(survivors(&places, false), expected);
}

#[test]
fn each_place_holds_its_secret() {
    let places: Vec<Place> = reviewed().into_iter().chain(others()).collect();
    let mut names: Vec<&str> = places.iter().map(|place| place.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), places.len());
    for place in places {
        let document = plain(&(place.plant)(place.secret));
        assert!(
            holds(&document, place.secret) || place.packed,
            "{}: {document}",
            place.name
        );
    }
}
