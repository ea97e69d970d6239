//! `cargo xtask gen`: writes the repository's generated files.

mod conformance;
mod documents;
mod krew;
mod kustomize;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use fs_err as fs;
pub(crate) use krew::manifest as krew_manifest;
use serde::{Deserialize, Serialize};
use sono_testbed::{
    cluster::{self, KubernetesVersion},
    command, repository, say,
};

use self::{conformance::Missing, documents::Document};

const SUITE_IMAGES: &str = "crates/sono-images/data/suite-images.json";

#[derive(Args)]
pub(crate) struct Arguments {
    /// File to generate; the default are all that take only seconds
    #[command(subcommand)]
    output: Option<Output>,
    /// Write nothing, and fail if a file is outdated
    #[arg(long, global = true)]
    check: bool,
}

#[derive(Subcommand)]
enum Output {
    /// The reference of all commands and flags: docs/reference.md
    Reference,
    /// The JSON Schema of plugin definitions: deploy/plugin.schema.json
    PluginSchema,
    /// The krew manifest: deploy/krew/sono.yaml
    Krew,
    /// The manifests for running sono in a prepared namespace: deploy/kustomize
    Kustomize,
    /// The required tests of Kubernetes versions: crates/sono-conformance/data/required.txt (requires Go, and may download)
    Conformance {
        /// Version of Kubernetes; replaces that of its minor version
        #[arg(long, value_name = "VERSION")]
        kubernetes: Vec<KubernetesVersion>,
    },
    /// The manual pages, which are not part of the repository
    Man {
        /// Directory for the manual pages
        #[arg(long, value_name = "DIRECTORY", default_value = "target/man")]
        out: PathBuf,
    },
    /// The list of the Kubernetes suite's images, from the suite itself (takes minutes without cache, requires Go)
    SuiteImages {
        /// Version of Kubernetes; replaces the list of its minor version
        #[arg(long, value_name = "VERSION")]
        kubernetes: KubernetesVersion,
    },
}

#[derive(Deserialize, Serialize)]
struct List {
    version: String,
    images: Vec<Image>,
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Image {
    name: String,
    /// Tag of the image in the repository of `KUBE_TEST_REPO`, if it is mapped there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mapped_tag: Option<String>,
}

/// Any repository: the tags do not depend on it.
const REPOSITORY: &str = "mapped.example/repository";

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { output, check } = arguments;
    match output {
        None => {
            documents::write(&Document::ALL, *check)?;
            conformance::generate(&[], *check, Missing::Skip)?;
        }
        Some(Output::Conformance { kubernetes }) => {
            let missing = if *check { Missing::Skip } else { Missing::Download };
            conformance::generate(kubernetes, *check, missing)?;
        }
        Some(Output::Reference) => documents::write(&[Document::Reference], *check)?,
        Some(Output::PluginSchema) => documents::write(&[Document::PluginSchema], *check)?,
        Some(Output::Krew) => documents::write(&[Document::Krew], *check)?,
        Some(Output::Kustomize) => documents::write(&[Document::Kustomize], *check)?,
        Some(Output::Man { .. } | Output::SuiteImages { .. }) if *check => {
            bail!("--check is not supported for this output, which is not in the repository or needs a build")
        }
        Some(Output::Man { out }) => documents::manual(out)?,
        Some(Output::SuiteImages { kubernetes }) => suite_images(kubernetes)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn suite_images(kubernetes: &KubernetesVersion) -> anyhow::Result<()> {
    let suite = cluster::suite(kubernetes)?.join("e2e.test");
    let list = || command::new(&suite, ["--list-images"]);
    let listed = command::output(&mut list())?;
    let mapped = command::output(list().env("KUBE_TEST_REPO", REPOSITORY))?;
    let path = repository::root().join(SUITE_IMAGES);
    let old: Vec<List> = serde_json::from_slice(&fs::read(&path)?).context(SUITE_IMAGES)?;
    let new = List {
        version: kubernetes.to_string(),
        images: images(&listed, &mapped),
    };
    say::progress(format_args!(
        "{} images of {kubernetes} in {SUITE_IMAGES}",
        new.images.len()
    ));
    let lists = replace(old, new);
    fs::write(path, format!("{}\n", serde_json::to_string_pretty(&lists)?))?;
    Ok(())
}

fn images(listed: &str, mapped: &str) -> Vec<Image> {
    let tags: Vec<&str> = mapped
        .split_whitespace()
        .filter_map(|name| name.strip_prefix(REPOSITORY)?.strip_prefix(':'))
        .collect();
    let mut names: Vec<&str> = listed.split_whitespace().collect();
    names.sort_unstable();
    names.dedup();
    let image = |name: &str| Image {
        name: name.to_owned(),
        mapped_tag: tags
            .iter()
            .find(|tag| is_tag_of(tag, name))
            .map(|tag| (*tag).to_owned()),
    };
    names.into_iter().map(image).collect()
}

/// Whether `tag` belongs to `name`: tags are `e2e-<number>-<escaped end of the name>-<16 characters of a hash>`.
fn is_tag_of(tag: &str, name: &str) -> bool {
    let Some(rest) = tag
        .strip_prefix("e2e-")
        .and_then(|rest| rest.split_once('-'))
        .map(|(_, rest)| rest)
    else {
        return false;
    };
    let Some(safe) = rest.len().checked_sub(17).and_then(|end| rest.get(..end)) else {
        return false;
    };
    let words = name.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let whole = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-");
    whole == safe || (safe.len() > 90 && whole.ends_with(safe))
}

/// Replaces the list of the minor version; lists are sorted with the newest first.
fn replace(mut lists: Vec<List>, new: List) -> Vec<List> {
    let minor = |list: &List| {
        let mut parts = list.version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        (parts.next(), parts.next())
    };
    lists.retain(|list| minor(list) != minor(&new));
    lists.push(new);
    lists.sort_by_key(|list| std::cmp::Reverse(minor(list)));
    lists
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(version: &str) -> List {
        List {
            version: version.to_owned(),
            images: Vec::new(),
        }
    }

    #[test]
    fn replace_leaves_one_list_per_minor_version() {
        let lists = replace(vec![list("1.37.2"), list("1.9.4")], list("1.37.3"));
        let lists = replace(lists, list("1.34.4"));
        let versions: Vec<&str> = lists.iter().map(|list| list.version.as_str()).collect();
        assert_eq!(versions, ["1.37.3", "1.34.4", "1.9.4"]);
    }

    #[test]
    fn images_are_listed_once_and_sorted() {
        let image = |name: &str, tag: Option<&str>| Image {
            name: name.to_owned(),
            mapped_tag: tag.map(ToOwned::to_owned),
        };
        let mapped = "mapped.example/repository:e2e-7-a-io-b-1-0-fkeDOdQCxG2OFs6e\nc.io/d:2\n";
        assert_eq!(
            images("c.io/d:2\na.io/b:1.0\n\na.io/b:1.0\n", mapped),
            [
                image("a.io/b:1.0", Some("e2e-7-a-io-b-1-0-fkeDOdQCxG2OFs6e")),
                image("c.io/d:2", None)
            ]
        );
    }
}
