//! Test cases of Sonobuoy's post-processing.

use std::{collections::BTreeSet, path::Path};

use serde_json::Value;
use sono_results::{Compatibility, PluginInput, TreeLimits, cluster_health};
use sono_testkit::vectors;
use sono_types::{PluginName, ResultFormat};

use crate::files::{MapFiles, tree};

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap()
}

/// The result files of a case, as set in Sonobuoy's test.
fn result_files(case: &str) -> Vec<String> {
    let names: &[&str] = match case.rsplit_once('-') {
        Some((kind, "02")) if kind.ends_with("manual") => &["manual-results-1.yaml", "manual-results-2.yaml"],
        Some((kind, "03")) if kind.ends_with("manual") => &["manual-results.yaml"],
        Some((kind, "01")) if ["junit", "raw", "default"].iter().any(|word| kind.ends_with(word)) => &["output.xml"],
        Some((kind, "03")) if ["junit", "raw"].iter().any(|word| kind.ends_with(word)) => {
            &["output.xml", "output2.xml"]
        }
        _ => &[],
    };
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
#[ignore = "requires the test vectors: cargo xtask test"]
fn trees_match_sonobuoy() {
    let folder = vectors("postprocess");
    let mut cases = BTreeSet::new();
    for entry in fs_err::read_dir(&folder).unwrap() {
        let case = entry.unwrap().file_name().into_string().unwrap();
        let golden = folder.join(&case).join(format!("{case}.golden.json"));
        if !golden.is_file() {
            continue;
        }
        let format = ["junit", "manual", "raw"]
            .iter()
            .find(|format| case.contains(**format))
            .copied()
            .unwrap_or_else(|| if case.starts_with("ds-errors") { "junit" } else { "" });
        let name = PluginName::parse(&case).unwrap();
        let result_files = result_files(&case);
        let input = |compatibility| PluginInput {
            name: &name,
            format: ResultFormat::from_name(format),
            result_files: &result_files,
            per_node: case.starts_with("ds-"),
            compatibility,
            limits: TreeLimits::PLUGIN,
        };
        let files = MapFiles::load(&folder.join(&case));
        let golden = json(&golden);
        // None of these cases depends on compatibility.
        for compatibility in [Compatibility::default(), Compatibility::SONOBUOY] {
            let (item, problems) = tree(&input(compatibility), &files);
            assert_eq!(serde_json::to_value(item).unwrap(), golden, "{case} {compatibility:?}");
            assert_eq!(problems, [], "{case}");
        }
        cases.insert(case);
    }
    assert!(cases.len() >= 15, "only {cases:?}");
}

#[test]
#[ignore = "requires the test vectors: cargo xtask test"]
fn a_file_of_another_junit_dialect() {
    let folder = vectors("junit");
    let xml = fs_err::read_to_string(folder.join("junit_good_junit.xml")).unwrap();
    let input = PluginInput {
        name: &PluginName::parse("p").unwrap(),
        format: ResultFormat::Junit,
        result_files: &[],
        per_node: false,
        compatibility: Compatibility::default(),
        limits: TreeLimits::PLUGIN,
    };
    let (root, problems) = tree(&input, &MapFiles::new(&[("results/global/j.xml", &xml)]));
    let expected = json(&folder.join("item_good_junit.json"));
    assert_eq!(problems, []);
    assert_eq!(serde_json::to_value(&root.items[0].items).unwrap(), expected["items"]);
    assert_eq!(root.items[0].status, expected["status"]);
}

#[test]
#[ignore = "requires the test vectors: cargo xtask test"]
fn cluster_health_matches_sonobuoy() {
    let folder = vectors("health");
    let health = cluster_health(&MapFiles::load(&folder));
    assert_eq!(
        serde_json::to_value(health).unwrap(),
        json(&folder.join("summary_test.golden"))
    );
}
