//! Uploads of workers. Their kind depends only on the worker's number, so that all runs of one size have the same item
//! trees; their bytes also depend on the seed.

use std::collections::BTreeMap;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use sono_types::{PluginName, ResultKey, Target, constants, layout};

use crate::{hostile::Hostile, random::Random};

/// The plugins of a simulated run: one per node, one per cluster, and one of the next order group.
pub(crate) const NODES: &str = "nodes";
pub(crate) const CLUSTER: &str = "cluster";
pub(crate) const LAST: &str = "last";

/// Body and headers of an upload.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub(crate) body: Bytes,
    pub(crate) content_type: &'static str,
    pub(crate) disposition: Option<String>,
    pub(crate) is_error: bool,
}

/// The uploads of a worker.
#[derive(Debug, Clone)]
pub(crate) enum WorkerResult {
    /// A valid result.
    Good(Upload),
    /// An error report instead of a result.
    Reported(Upload),
    /// Only a hostile body.
    Hostile(Hostile),
}

/// Plugin and target of worker `number` of `workers`.
pub(crate) fn key(number: usize, workers: usize) -> ResultKey {
    let plugin = |name: &str| PluginName::parse(name).expect("it is a valid name");
    match workers - number {
        1 => ResultKey::new(plugin(LAST), Target::Global),
        2 => ResultKey::new(plugin(CLUSTER), Target::Global),
        _ => {
            let target = Target::parse(&node(number)).expect("it is a valid name");
            ResultKey::new(plugin(NODES), target)
        }
    }
}

pub(crate) fn node(number: usize) -> String {
    format!("n{number:05}")
}

/// Number of nodes in a run with this number of workers.
pub(crate) fn nodes(workers: usize) -> usize {
    workers.saturating_sub(2)
}

pub(crate) fn worker_result(seed: u64, number: usize, workers: usize) -> anyhow::Result<WorkerResult> {
    if workers - number > 2 {
        match number % 17 {
            11 => return Ok(WorkerResult::Reported(report(number))),
            13 => return Ok(WorkerResult::Hostile(Hostile::pick(number as u64 / 17))),
            _ => {}
        }
    }
    Ok(WorkerResult::Good(good(seed, number)?.0))
}

fn report(number: usize) -> Upload {
    Upload {
        body: format!("{{\"error\":\"worker {number} has no result\"}}").into(),
        content_type: "application/json",
        disposition: Some("attachment;filename=error.json".to_owned()),
        is_error: true,
    }
}

/// Checksums of the expected result files, by path in the archive.
pub(crate) fn expected(seed: u64, workers: usize) -> anyhow::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for number in 0..workers {
        if !matches!(worker_result(seed, number, workers)?, WorkerResult::Good(_)) {
            continue;
        }
        let directory = layout::results_dir(&key(number, workers));
        for (name, bytes) in good(seed, number)?.1 {
            files.insert(format!("{directory}/{name}"), checksum(&bytes));
        }
    }
    Ok(files)
}

pub(crate) fn checksum(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

type Files = Vec<(String, Vec<u8>)>;

/// A valid result and its files in the archive.
fn good(seed: u64, number: usize) -> anyhow::Result<(Upload, Files)> {
    let mut random = Random::new(seed, (number as u64) | 1 << 40);
    let mut bytes = |limit: u64| {
        let length = usize::try_from(random.below(limit)).unwrap_or_default();
        random.fill(length)
    };
    let single = |name: &str, disposition: Option<String>, body: Vec<u8>| {
        let upload = Upload {
            body: body.clone().into(),
            content_type: "",
            disposition,
            is_error: false,
        };
        (upload, vec![(name.to_owned(), body)])
    };
    let named = |name: &str| Some(format!("attachment;filename={name}"));
    Ok(match number % 7 {
        0 => single("out.bin", named("out.bin"), bytes(4096)),
        1 => single("medium.bin", named("medium.bin"), bytes(512 << 10)),
        2 => packed(vec![("a.txt", bytes(2000)), ("deep/er/b.txt", bytes(2000))], None)?,
        3 => single("empty", named("empty"), Vec::new()),
        4 => packed(vec![("large.bin", bytes(700 << 10)), ("small", bytes(10))], None)?,
        5 => single("with space (1).txt", named("\"with space (1).txt\""), bytes(100)),
        // The aggregator skips links and strips leading slashes.
        _ => packed(
            vec![("/absolute", bytes(300)), ("plain", bytes(300))],
            Some(("link", "/etc/passwd")),
        )?,
    })
}

fn packed(files: Vec<(&str, Vec<u8>)>, link: Option<(&str, &str)>) -> anyhow::Result<(Upload, Files)> {
    let entries: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    let upload = Upload {
        body: archive(&entries, link)?.into(),
        content_type: constants::GZIP_MIME,
        disposition: Some("attachment;filename=results.tar.gz".to_owned()),
        is_error: false,
    };
    let files = files
        .into_iter()
        .map(|(name, bytes)| (name.trim_start_matches('/').to_owned(), bytes));
    Ok((upload, files.collect()))
}

/// Packs a `.tar.gz` with an optional link and then these files; the names may be hostile.
pub(crate) fn archive(entries: &[(&str, &[u8])], link: Option<(&str, &str)>) -> anyhow::Result<Vec<u8>> {
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut builder = tar::Builder::new(encoder);
    if let Some((name, target)) = link {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_cksum();
        builder.append_link(&mut header, name, target)?;
    }
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        // The builder rejects hostile names, so write the field directly.
        if let Some(fields) = header.as_gnu_mut() {
            fields.name[..name.len()].copy_from_slice(name.as_bytes());
        }
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *content)?;
    }
    Ok(builder.into_inner()?.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_depend_on_the_size_of_the_run_and_bytes_on_the_seed() {
        let (first, second) = (expected(1, 40).unwrap(), expected(2, 40).unwrap());
        assert!(first.keys().eq(second.keys()));
        assert_ne!(first, second);
        assert_eq!(first, expected(1, 40).unwrap());
        assert!(
            first
                .keys()
                .any(|name| name.starts_with("plugins/last/results/global/"))
        );
        // Workers without a valid result, such as 11, 13, 28 and 30, have no files.
        assert!(
            !first
                .keys()
                .any(|name| name.contains("/n00013/") || name.contains("/n00028/"))
        );
    }
}
