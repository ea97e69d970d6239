//! Test cases of Sonobuoy's post-processing. They are not part of this repository: they are in `../shared/vectors` or
//! `$SONO_VECTORS`.

use std::{
    collections::BTreeSet,
    env,
    path::{Path, PathBuf},
};

use serde_json::Value;
use sono_results::{Compatibility, PluginInput, TreeLimits, cluster_health};
use sono_types::{PluginName, ResultFormat};

use crate::files::{MapFiles, tree};

fn vectors(folder: &str) -> Option<PathBuf> {
    let root = env::var_os("SONO_VECTORS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
        PathBuf::from,
    );
    let folder = root.join(folder);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no test vectors at {}", folder.display());
    None
}

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
fn trees_match_sonobuoy() {
    let Some(folder) = vectors("postprocess") else { return };
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
fn a_file_of_another_junit_dialect() {
    let Some(folder) = vectors("junit") else { return };
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
fn cluster_health_matches_sonobuoy() {
    let Some(folder) = vectors("health") else { return };
    let health = cluster_health(&MapFiles::load(&folder));
    assert_eq!(
        serde_json::to_value(health).unwrap(),
        json(&folder.join("summary_test.golden"))
    );
}
