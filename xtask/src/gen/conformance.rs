//! The required tests of Kubernetes versions: `conformance.yaml` of the Go module `k8s.io/kubernetes`, as one file.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use fs_err as fs;
use serde::Deserialize;
use sono_testbed::{cluster::KubernetesVersion, command, repository, say};

use super::documents::program;

const FILE: &str = "crates/sono-conformance/data/required.txt";
const HEAD: &str = "# Written by `cargo xtask gen conformance`; do not edit. Minor versions of Kubernetes that require a test, and its name.\n";
const SOURCE: &str = "# From k8s.io/kubernetes ";
const YAML: &str = "test/conformance/testdata/conformance.yaml";

/// What to do with a module that is not in the module cache.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Download,
    /// The file is not checked.
    Skip,
}

/// Writes the file, or with `check` fails if it is outdated. `versions` replace those of their minor versions.
pub(super) fn generate(versions: &[KubernetesVersion], check: bool, missing: Missing) -> anyhow::Result<()> {
    let path = repository::root().join(FILE);
    let old = fs::read_to_string(&path)?;
    let versions = pinned(&old, versions)?;
    let mut lists = BTreeMap::new();
    for version in &versions {
        let Some(module) = module(version, missing)? else {
            say::progress(format_args!(
                "{FILE} is not checked: k8s.io/kubernetes@v{version} is not in the module cache"
            ));
            return Ok(());
        };
        lists.insert(minor(version)?, required(version, &module)?);
    }
    let text = render(&versions, &lists);
    if text == old {
        say::progress(format_args!("{FILE} is up to date"));
        return Ok(());
    }
    ensure!(!check, "outdated: {FILE} (cargo xtask gen conformance)");
    fs::write(&path, text)?;
    say::progress(format_args!("wrote {FILE}"));
    Ok(())
}

/// The versions that the file names, with those of `changed` instead of others with the same minor version.
fn pinned(text: &str, changed: &[KubernetesVersion]) -> anyhow::Result<Vec<KubernetesVersion>> {
    let line = text.lines().find_map(|line| line.strip_prefix(SOURCE));
    let line = line.with_context(|| format!("{FILE} has no line `{SOURCE}…`"))?;
    let mut versions: BTreeMap<u32, KubernetesVersion> = BTreeMap::new();
    let named = line
        .trim_end_matches('.')
        .split(", ")
        .map(str::parse::<KubernetesVersion>);
    for version in named.chain(changed.iter().map(|version| version.to_string().parse())) {
        let version = version?;
        versions.insert(minor(&version)?, version);
    }
    Ok(versions.into_values().collect())
}

fn minor(version: &KubernetesVersion) -> anyhow::Result<u32> {
    let text = version.to_string();
    let minor = text.split('.').nth(1).and_then(|minor| minor.parse().ok());
    minor.with_context(|| format!("version {version} has no minor version"))
}

/// The directory of the module, if it is at hand.
fn module(version: &KubernetesVersion, missing: Missing) -> anyhow::Result<Option<PathBuf>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Download {
        dir: PathBuf,
    }
    let name = format!("k8s.io/kubernetes@v{version}");
    if missing == Missing::Skip {
        // Without Go, no module is at hand.
        let Ok(cache) = command::output(&mut command::new("go", ["env", "GOMODCACHE"])) else {
            return Ok(None);
        };
        let directory = PathBuf::from(cache.trim()).join(name);
        return Ok(directory.join(YAML).is_file().then_some(directory));
    }
    // Run outside of any module, so that other go.mod files have no effect.
    let json = command::output(command::new("go", ["mod", "download", "-json", &name]).current_dir("/"))?;
    let download: Download = serde_json::from_str(&json).context("cannot parse the output of `go mod download`")?;
    Ok(Some(download.dir))
}

/// The names of the required tests, as the program reads them from the module's file.
fn required(version: &KubernetesVersion, module: &Path) -> anyhow::Result<BTreeSet<String>> {
    let file = module.join(YAML).into_os_string().into_string();
    let file = file.map_err(|path| anyhow::anyhow!("the path {} is not UTF-8", path.display()))?;
    let version = version.to_string();
    let arguments = [
        "conformance",
        "list",
        "--required",
        &file,
        "--kubernetes-version",
        &version,
    ];
    let names = command::output(&mut program(&arguments))?;
    Ok(names.lines().map(str::to_owned).collect())
}

fn render(versions: &[KubernetesVersion], lists: &BTreeMap<u32, BTreeSet<String>>) -> String {
    let mut minors: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for (minor, names) in lists {
        for name in names {
            minors.entry(name).or_default().push(*minor);
        }
    }
    let versions: Vec<String> = versions.iter().map(|version| format!("v{version}")).collect();
    let lines = minors
        .iter()
        .map(|(name, minors)| format!("{}\t{name}\n", ranges(minors)));
    let mut text = format!("{HEAD}{SOURCE}{}.\n", versions.join(", "));
    text.extend(lines);
    text
}

/// Ascending numbers as ranges: `33-35,37`.
fn ranges(numbers: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let texts = ranges.into_iter().map(|(first, last)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    });
    texts.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_has_a_line_per_test_with_ranges_of_versions() {
        let versions = pinned(
            "# From k8s.io/kubernetes v1.36.3, v1.33.13.\n",
            &["1.36.4".parse().unwrap(), "1.37.0".parse().unwrap()],
        )
        .unwrap();
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let lists = BTreeMap::from([(33, list(&["a", "b"])), (36, list(&["b"])), (37, list(&["b", "c"]))]);
        let expected = format!("{HEAD}{SOURCE}v1.33.13, v1.36.4, v1.37.0.\n33\ta\n33,36-37\tb\n37\tc\n");
        assert_eq!(render(&versions, &lists), expected);
    }
}
