//! Checks the corpus: the independent reader agrees with the table, the table names every file, and structures differ.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use sono_testkit::corpus::{Expected, Form, expected, read};

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn table() -> Vec<Expected> {
    let text = fs_err::read_to_string(folder().join("outcomes.tsv")).expect("the table is in the repository");
    expected(&text).expect("every row of the table can be read")
}

fn form(file: &str) -> Form {
    let extension = file.rsplit('.').next().expect("a split has at least one part");
    Form::of_extension(extension).expect("every file of the corpus has an extension of a form")
}

#[test]
fn table_of_outcomes_names_every_file() {
    let mut files = BTreeSet::new();
    for kind in ["junit", "gojson", "manual"] {
        for entry in fs_err::read_dir(folder().join(kind)).unwrap() {
            files.insert(format!("{kind}/{}", entry.unwrap().file_name().to_str().unwrap()));
        }
    }
    let named: BTreeSet<String> = table().into_iter().map(|row| row.file).collect();
    assert_eq!(named, files);
    assert!(named.len() >= 120, "{}", named.len());
}

#[test]
fn independent_reader_agrees_with_the_table() {
    let mut problems = Vec::new();
    for row in table() {
        match read(form(&row.file), &fs_err::read(folder().join(&row.file)).unwrap()) {
            Ok(found) => {
                let counts = row.counts.as_ref().is_none_or(|counts| *counts == found.counts);
                if !counts || !row.verdicts.contains(&found.verdict) {
                    problems.push(format!("{}: {found:?} instead of {row:?}", row.file));
                }
            }
            Err(reason) if row.verdicts.contains(&"unknown".to_owned()) && row.counts.is_none() => {
                assert!(!reason.is_empty());
            }
            Err(reason) => problems.push(format!("{}: {reason}", row.file)),
        }
    }
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn junit_files_of_the_corpus_differ_in_structure() {
    let mut seen: BTreeMap<BTreeSet<String>, String> = BTreeMap::new();
    for row in table().into_iter().filter(|row| row.file.starts_with("junit/")) {
        let bytes = fs_err::read(folder().join(&row.file)).unwrap();
        let Ok(text) = String::from_utf8(bytes) else { continue };
        let options = roxmltree::ParsingOptions {
            allow_dtd: true,
            ..Default::default()
        };
        let Ok(document) = roxmltree::Document::parse_with_options(&text, options) else {
            continue;
        };
        let structure = document.descendants().filter(roxmltree::Node::is_element).map(|node| {
            let path: Vec<&str> = node.ancestors().map(|above| above.tag_name().name()).collect();
            let attributes: BTreeSet<&str> = node.attributes().map(|attribute| attribute.name()).collect();
            format!("{path:?} {attributes:?}")
        });
        if let Some(other) = seen.insert(structure.collect(), row.file.clone()) {
            panic!("{} has the structure of {other}", row.file);
        }
    }
}
