//! Invariants of a finished run.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use sono_types::{UploadLimits, layout};

use crate::{
    content::{self, WorkerResult},
    status,
    world::World,
};

/// The journal's file in the volume.
const JOURNAL: &str = ".sono-journal-run";

/// The compared contents of an archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Collected {
    /// Checksums of results, by path.
    pub(crate) results: BTreeMap<String, String>,
    /// Stored errors of failed results, by path.
    pub(crate) errors: BTreeMap<String, String>,
    /// Item trees, by path.
    pub(crate) trees: BTreeMap<String, String>,
    /// Names of incomplete files.
    pub(crate) unfinished: Vec<String>,
    /// Plugins whose results were being read when the aggregator was killed. They are not read again.
    pub(crate) interrupted: BTreeSet<String>,
}

/// Reads the archive that the status names.
pub(crate) fn collected(world: &World) -> anyhow::Result<Collected> {
    let status = status::last(world)?.context("the aggregator's pod has no status")?;
    let archive = world.volume().join(&status.tarball.name);
    let bytes = fs_err::read(&archive)?;
    let checksum = content::checksum(&bytes);
    anyhow::ensure!(
        checksum == status.tarball.sha256 && bytes.len() as u64 == status.tarball.size,
        "the archive has {} bytes and checksum {checksum}, the status says {:?}",
        bytes.len(),
        status.tarball
    );
    let unpacked = tempfile::tempdir()?;
    sono_bundle::unpack_tar_gz(bytes.as_slice(), unpacked.path(), &UploadLimits::default())?;
    let journal = fs_err::read(world.volume().join(JOURNAL))?;
    let mut collected = Collected {
        interrupted: interrupted(&String::from_utf8_lossy(&journal)),
        ..Collected::default()
    };
    for (name, path) in files(unpacked.path())? {
        let bytes = fs_err::read(path)?;
        let text = || String::from_utf8_lossy(&bytes).into_owned();
        let Some(rest) = name.strip_prefix("plugins/") else {
            continue;
        };
        if rest.contains("/results/") {
            collected.results.insert(name.clone(), content::checksum(&bytes));
        } else if rest.contains("/errors/") {
            collected.errors.insert(name.clone(), text());
        } else if rest.ends_with("/sonobuoy_results.yaml") {
            collected.trees.insert(name.clone(), text());
        }
    }
    Ok(collected)
}

/// Checks that each expected result is in the archive exactly once, with its bytes or an error, and nothing else.
pub(crate) fn results(seed: u64, workers: usize, collected: &Collected) -> anyhow::Result<Vec<String>> {
    let expected = content::expected(seed, workers)?;
    let mut violations = Vec::new();
    for (name, checksum) in &expected {
        match collected.results.get(name) {
            None => violations.push(format!("lost: {name}")),
            Some(found) if found != checksum => violations.push(format!("wrong bytes: {name}")),
            Some(_) => {}
        }
    }
    let more = collected.results.keys().filter(|name| !expected.contains_key(*name));
    violations.extend(more.map(|name| format!("unexpected: {name}")));
    let mut expected_errors = BTreeSet::new();
    for number in 0..workers {
        if matches!(content::worker_result(seed, number, workers)?, WorkerResult::Good(_)) {
            continue;
        }
        let name = format!("{}/error.json", layout::errors_dir(&content::key(number, workers)));
        if !collected
            .errors
            .get(&name)
            .is_some_and(|text| text.contains("\"error\":"))
        {
            violations.push(format!("missing error: {name}"));
        }
        expected_errors.insert(name);
    }
    violations.extend(collected.unfinished.iter().map(|name| format!("incomplete: {name}")));
    let more = collected.errors.keys().filter(|name| !expected_errors.contains(*name));
    violations.extend(more.map(|name| format!("unexpected error: {name}: {}", collected.errors[name])));
    Ok(violations)
}

/// The plugins whose post-processing a kill interrupted: in the journal, their last record of it is its beginning.
fn interrupted(journal: &str) -> BTreeSet<String> {
    let mut interrupted = BTreeSet::new();
    for line in journal.lines() {
        // Checksum, time and record.
        let record = line.splitn(3, ' ').nth(2).unwrap_or_default();
        let Ok(record) = serde_json::from_str::<serde_json::Value>(record) else {
            continue;
        };
        if let Some(plugin) = record["Processing"]["plugin"].as_str() {
            interrupted.insert(plugin.to_owned());
        }
        for plugin in record["Processed"]["plugins"].as_array().into_iter().flatten() {
            interrupted.remove(plugin.as_str().unwrap_or_default());
        }
    }
    interrupted
}

/// The item tree of a plugin whose post-processing a kill interrupted.
fn tree_of_interrupted(plugin: &str) -> String {
    let reason = "its results were not read: the aggregator ended while it was reading them";
    format!("name: {plugin}\nstatus: unknown\nmeta:\n  error: \"{reason}\"\n  type: summary\n")
}

/// Differences from an undisturbed run, except for results, whose bytes depend on the seed, and for item trees of
/// interrupted plugins.
pub(crate) fn differences(reference: &Collected, collected: &Collected) -> Vec<String> {
    let mut expected_trees = reference.trees.clone();
    for plugin in &collected.interrupted {
        expected_trees.insert(layout::results_file_named(plugin), tree_of_interrupted(plugin));
    }
    let pairs = [
        (&reference.errors, &collected.errors),
        (&expected_trees, &collected.trees),
    ];
    let names: BTreeSet<&String> = pairs
        .iter()
        .flat_map(|(left, right)| left.keys().chain(right.keys()))
        .collect();
    let differs = |name: &&&String| pairs.iter().any(|(left, right)| left.get(**name) != right.get(**name));
    names
        .iter()
        .filter(differs)
        .map(|name| {
            let found = collected.errors.get(*name).or_else(|| collected.trees.get(*name));
            format!("differs from an undisturbed run: {name}: {found:?}")
        })
        .collect()
}

/// Files left in the volume or written outside of it.
pub(crate) fn stray_files(world: &World, before: &BTreeSet<PathBuf>) -> anyhow::Result<Vec<String>> {
    let status = status::last(world)?.context("the aggregator's pod has no status")?;
    let mut violations = Vec::new();
    for (name, _) in files(&world.volume())? {
        if name != status.tarball.name && name != JOURNAL {
            violations.push(format!("left in the volume: {name}"));
        }
    }
    for path in around(world)? {
        if !before.contains(&path) {
            violations.push(format!("outside the results directory: {}", path.display()));
        }
    }
    Ok(violations)
}

/// Files in the directories that path traversal would reach.
pub(crate) fn around(world: &World) -> anyhow::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for directory in [world.path(), &world.path().join("plugins.d"), Path::new("/")] {
        found.extend(
            fs_err::read_dir(directory)?
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<Result<Vec<_>, _>>()?,
        );
    }
    found.retain(|path| {
        path.extension()
            .is_none_or(|extension| extension != "log" && extension != "img")
    });
    found.extend(Some(PathBuf::from("/tmp/sono-sim-escape")).filter(|path| path.exists()));
    Ok(found)
}

/// All files below a directory, by relative path.
fn files(root: &Path) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    let mut pending = vec![root.to_path_buf()];
    while let Some(directory) = pending.pop() {
        for entry in fs_err::read_dir(directory)? {
            let path = entry?.path();
            if fs_err::symlink_metadata(&path)?.is_dir() {
                pending.push(path);
            } else {
                files.insert(path.strip_prefix(root)?.display().to_string(), path);
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_whose_reading_was_not_the_last_thing_are_not_interrupted() {
        let journal = [
            r#"0f 0 {"Processing":{"plugin":"a"}}"#,
            r#"0f 1 {"Processed":{"plugins":["a"]}}"#,
            r#"0f 1 {"Processing":{"plugin":"b"}}"#,
            "torn",
            r#"0f 2 "Finishing""#,
            r#"0f 3 {"Processing":{"plugin":"c"}}"#,
            r#"0f 4 {"Processed":{"plugins":["a","c"]}}"#,
        ];
        assert_eq!(interrupted(&journal.join("\n")), BTreeSet::from(["b".to_owned()]));
    }

    #[test]
    fn tree_of_an_interrupted_plugin_is_expected_instead_of_the_references() {
        let name = layout::results_file_named("b");
        let reference = Collected {
            trees: BTreeMap::from([(name.clone(), "name: b\nstatus: passed\n".to_owned())]),
            ..Collected::default()
        };
        let mut collected = Collected {
            trees: BTreeMap::from([(name, tree_of_interrupted("b"))]),
            ..Collected::default()
        };
        assert_eq!(
            differences(&reference, &collected),
            [format!(
                "differs from an undisturbed run: plugins/b/sonobuoy_results.yaml: {:?}",
                Some(tree_of_interrupted("b"))
            )]
        );
        collected.interrupted.insert("b".to_owned());
        assert_eq!(differences(&reference, &collected), [""; 0]);
    }
}
