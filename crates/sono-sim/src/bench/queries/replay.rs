//! Replays the same requests and writes each response to a file, as the upper bound of server and machine.

use std::{collections::BTreeMap, path::Path, time::Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::io::{AsyncWriteExt as _, BufWriter};

use super::access::Access;

/// Maximum number of concurrent responses, as in the aggregator.
const MAX_CONCURRENT: usize = 8;

#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) seconds: f64,
    pub(super) bytes: u64,
}

/// Requests all paths. The pages of a list are requested in sequence, as their continue tokens require.
pub(super) async fn replay(access: &Access, paths: &[String]) -> anyhow::Result<Replayed> {
    let folder = tempfile::tempdir()?;
    let directory = folder.path();
    let lists = by_list(paths);
    let began = Instant::now();
    let bytes: Vec<u64> = stream::iter(lists)
        .map(|pages| async move {
            let mut bytes = 0;
            for (number, path) in pages {
                bytes += fetch(access, path, &directory.join(number.to_string())).await?;
            }
            anyhow::Ok(bytes)
        })
        .buffer_unordered(MAX_CONCURRENT)
        .try_collect()
        .await?;
    Ok(Replayed {
        seconds: began.elapsed().as_secs_f64(),
        bytes: bytes.into_iter().sum(),
    })
}

async fn fetch(access: &Access, path: &str, target: &Path) -> anyhow::Result<u64> {
    let mut answer = access.client.get(format!("{}{path}", access.server)).send().await?;
    let mut file = BufWriter::new(fs_err::tokio::File::create(target).await?);
    let mut bytes = 0;
    while let Some(part) = answer.chunk().await? {
        file.write_all(&part).await?;
        bytes += part.len() as u64;
    }
    file.flush().await?;
    Ok(bytes)
}

/// The paths grouped by list, with their indexes, in the order of each list's first page.
fn by_list(paths: &[String]) -> Vec<Vec<(usize, &str)>> {
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    let mut lists: Vec<Vec<(usize, &str)>> = Vec::new();
    for (number, path) in paths.iter().enumerate() {
        let list = path.split_once("&continue=").map_or(path.as_str(), |(list, _)| list);
        let is_page = list.len() < path.len();
        match known.get(list) {
            Some(&at) if is_page => {
                lists[at].push((number, path.as_str()));
            }
            _ => {
                known.insert(list, lists.len());
                lists.push(vec![(number, path.as_str())]);
            }
        }
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_their_list() {
        let paths = [
            "/a?limit=5",
            "/b",
            "/a?limit=5&continue=x",
            "/b",
            "/a?limit=5&continue=y",
        ];
        let paths = paths.map(str::to_owned);
        assert_eq!(
            by_list(&paths),
            [
                vec![
                    (0, "/a?limit=5"),
                    (2, "/a?limit=5&continue=x"),
                    (4, "/a?limit=5&continue=y")
                ],
                vec![(1, "/b")],
                vec![(3, "/b")]
            ]
        );
    }
}
