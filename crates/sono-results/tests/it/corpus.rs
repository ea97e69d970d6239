//! Result files of many producers: the readers return the outcomes of the table, like the independent reader of the test
//! kit.

use std::path::Path;

use sono_results::{Compatibility, aggregate, read_result_file};
use sono_testkit::corpus::{Counts, Form, expected};
use sono_types::{Item, ResultFormat};

fn read(form: Form, file: &str, bytes: &[u8]) -> Item {
    let format = match form {
        Form::Junit => ResultFormat::Junit,
        Form::Go => ResultFormat::GoJson,
        Form::Manual => ResultFormat::Manual,
    };
    let (mut item, _) = read_result_file(format, file, bytes, Compatibility::default());
    aggregate(&mut item, Compatibility::default());
    item
}

fn counts(item: &Item) -> Counts {
    let mut counts = Counts::new();
    for leaf in item.leaves() {
        *counts.entry(leaf.status.clone()).or_default() += 1;
    }
    counts
}

#[test]
fn corpus_has_the_outcomes_of_its_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sono-testkit/corpus");
    let table = fs_err::read_to_string(folder.join("outcomes.tsv")).unwrap();
    let mut problems = Vec::new();
    for row in expected(&table).unwrap() {
        let form = Form::of_extension(row.file.rsplit('.').next().unwrap()).unwrap();
        let item = read(form, &row.file, &fs_err::read(folder.join(&row.file)).unwrap());
        let found = counts(&item);
        if !row.verdicts.contains(&item.status) || row.counts.as_ref().is_some_and(|counts| *counts != found) {
            problems.push(format!("{row:?}: {}, {found:?}", item.status));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
