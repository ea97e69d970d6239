//! The causes of the failures of each plugin (`plugins/NAME/why.json`), and the card of the run (`meta/card.json`). The archive
//! is complete without them: a problem here is a line in the run's log.

use std::{
    io,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use sono_analysis::{ArchiveReader, ArchiveTexts, BeyondLimit, RuleError, Rules, TestOutput, TextLimits, Why, explain};
use sono_bundle::{Bundle, ReadError, StoreError, write_durably};
use sono_types::layout;

use super::Finish;
use crate::durability::disk_full::IsDiskFull;

/// What is read at most. The aggregator's memory is small; `sono why` has higher limits.
const LIMITS: TextLimits = TextLimits {
    items: 2_000_000,
    bytes: 16 << 20,
    beyond: BeyondLimit::LeftOut,
    tree_bytes: 1 << 30,
};

/// Why the causes are not in the archive.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotExplained {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("cannot read the rules")]
    Rules(#[from] RuleError),
    #[error("cannot write the causes as JSON")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot record that causes are being searched")]
    Marker(#[source] io::Error),
    #[error("the texts of the failures have more than {} MiB: sono why reads them", LIMITS.bytes >> 20)]
    TooLarge,
    #[error("the results of plugin {0} cannot be read again")]
    Unread(String),
    #[error("the aggregator ended while it searched the causes")]
    EndedTheProcess,
    #[error("the search panicked, which is a bug in sono")]
    Panicked,
}

impl IsDiskFull for NotExplained {
    fn is_full(&self) -> bool {
        match self {
            Self::Store(error) => error.is_full(),
            Self::Marker(error) => error.is_full(),
            _ => false,
        }
    }
}

/// The file that exists while causes are searched, next to the run's directory: it is not in the archive.
fn marker(directory: &Path) -> PathBuf {
    directory.with_extension("explaining")
}

/// Removes the marker of a process that ended while it searched the causes. Called for a run that is packed.
pub(crate) fn remove_marker(directory: &Path) {
    fs_err::remove_file(marker(directory)).ok();
}

/// Writes the causes and the card. Texts that ended an earlier process are not read again, by any later process.
pub(super) async fn write(finish: &Finish) -> Result<(), NotExplained> {
    let directory = finish.directory.clone();
    let marker = marker(&directory);
    if marker.exists() {
        return Err(NotExplained::EndedTheProcess);
    }
    let of_attempt = marker.clone();
    let work = move || {
        fs_err::write(&of_attempt, b"").map_err(NotExplained::Marker)?;
        catch_unwind(AssertUnwindSafe(|| explain_run(&directory))).unwrap_or(Err(NotExplained::Panicked))
    };
    let written = finish.disk_full.retry("storing the causes of failures", work).await;
    fs_err::remove_file(&marker).ok();
    written
}

fn explain_run(directory: &Path) -> Result<(), NotExplained> {
    let bundle = Bundle::open(directory)?;
    let mut reader = ArchiveReader::new(None, LIMITS).with_card();
    bundle.visit(&mut |name, content| reader.file(name, content).map(ControlFlow::Continue))?;
    let unread = reader.unread().into_iter().next();
    let ArchiveTexts {
        outputs,
        logs,
        card,
        left_out,
        ..
    } = reader.finish();
    let mut all = Why::default();
    // Causes of a part of the failures would look like those of all.
    if left_out == 0 && outputs.iter().any(TestOutput::is_failed) {
        let rules = Rules::built_in()?;
        for of_plugin in outputs.chunk_by(|one, other| one.plugin == other.plugin) {
            let why = explain(&rules, of_plugin, &logs);
            if let Some(first) = of_plugin.first().filter(|_| why.failed > 0) {
                let path: PathBuf = directory.join(layout::causes_file_named(&first.plugin));
                write_durably(&path, why.to_json()?.as_bytes())?;
                all.merge(why);
            }
        }
    }
    if let Some(card) = card {
        write_durably(&directory.join(layout::CARD), card.card(&all).to_json()?.as_bytes())?;
    }
    match unread {
        _ if left_out > 0 => Err(NotExplained::TooLarge),
        Some(plugin) => Err(NotExplained::Unread(plugin)),
        None => Ok(()),
    }
}
