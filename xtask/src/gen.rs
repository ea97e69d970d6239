//! `cargo xtask gen`: files of the repository that are made from something else.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::{
    cluster::{self, KubernetesVersion},
    command, repository, say,
};

const SUITE_IMAGES: &str = "crates/sono-images/data/suite-images.json";

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The images that the Kubernetes suite uses, asked from the suite itself (builds it, minutes when cold, needs Go)
    SuiteImages {
        /// Version of Kubernetes; its minor version's list is replaced
        #[arg(long, value_name = "VERSION")]
        kubernetes: KubernetesVersion,
    },
}

#[derive(Deserialize, Serialize)]
struct List {
    version: String,
    images: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let What::SuiteImages { kubernetes } = &arguments.what;
    let suite = cluster::suite(kubernetes)?.join("e2e.test");
    let listed = command::output(&mut command::new(suite, ["--list-images"]))?;
    let path = repository::root().join(SUITE_IMAGES);
    let old: Vec<List> = serde_json::from_slice(&fs::read(&path)?).context(SUITE_IMAGES)?;
    let new = List {
        version: kubernetes.to_string(),
        images: images(&listed),
    };
    say::progress(format_args!(
        "{} images of {kubernetes} in {SUITE_IMAGES}",
        new.images.len()
    ));
    let lists = replace(old, new);
    fs::write(path, format!("{}\n", serde_json::to_string_pretty(&lists)?))?;
    Ok(ExitCode::SUCCESS)
}

fn images(listed: &str) -> Vec<String> {
    let mut images: Vec<String> = listed.split_whitespace().map(ToOwned::to_owned).collect();
    images.sort();
    images.dedup();
    images
}

/// Newest first, one list for a minor version.
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
    fn a_minor_version_has_one_list() {
        let lists = replace(vec![list("1.37.2"), list("1.9.4")], list("1.37.3"));
        let lists = replace(lists, list("1.34.4"));
        let versions: Vec<&str> = lists.iter().map(|list| list.version.as_str()).collect();
        assert_eq!(versions, ["1.37.3", "1.34.4", "1.9.4"]);
    }

    #[test]
    fn images_are_listed_once_and_sorted() {
        assert_eq!(images("b:1\na:2\n\nb:1\n"), ["a:2", "b:1"]);
    }
}
