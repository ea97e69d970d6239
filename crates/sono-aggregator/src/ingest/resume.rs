//! Interrupted bodies, for senders that resume them ([`sono_types::routes::UPLOAD_HEADER`]).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sono_types::ResultKey;
use tempfile::TempPath;
use tokio::time::Instant;

use crate::ingest::quota::Reserved;

/// Minimum size of a resumable body in bytes: smaller ones are sent again faster than a query takes.
const LEAST_BYTES: u64 = 1 << 20;
/// How long one waits for its sender, who tries again within half a minute.
const PATIENCE: Duration = Duration::from_mins(10);
/// Letters of a name.
const MOST_LETTERS: usize = 100;

/// Which bytes a request brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// The sender's name for the whole body.
    pub(crate) name: String,
    /// Offset of this part in bytes.
    pub(crate) from: u64,
    /// Size of the whole body in bytes, if the sender states it.
    pub(crate) whole: Option<u64>,
}

impl Part {
    /// Parses the headers of a request; `None` if the sender does not resume uploads, or the headers are invalid.
    pub(crate) fn parse(name: Option<&str>, range: Option<&str>) -> Option<Self> {
        let name = name.filter(|name| (1..=MOST_LETTERS).contains(&name.len()))?.to_owned();
        let Some(range) = range else {
            return Some(Self {
                name,
                from: 0,
                whole: None,
            });
        };
        let (bounds, whole) = range.strip_prefix("bytes ")?.split_once('/')?;
        let (from, last) = bounds.split_once('-')?;
        let (from, last, whole): (u64, u64, u64) = (from.parse().ok()?, last.parse().ok()?, whole.parse().ok()?);
        (from <= last && last.checked_add(1) == Some(whole)).then_some(Self {
            name,
            from,
            whole: Some(whole),
        })
    }
}

/// The beginning of a body.
#[derive(Debug)]
pub(crate) struct Partial {
    pub(crate) file: TempPath,
    pub(crate) size: u64,
    /// Its bytes count until it is complete or forgotten.
    pub(crate) reserved: Reserved,
}

#[derive(Debug)]
struct Kept {
    name: String,
    until: Instant,
    partial: Partial,
}

/// At most one for each result.
#[derive(Debug, Clone, Default)]
pub(crate) struct Partials(Arc<Mutex<BTreeMap<ResultKey, Kept>>>);

impl Partials {
    /// Whether the received part of a body is worth retaining.
    pub(crate) fn is_worth(size: u64) -> bool {
        size >= LEAST_BYTES
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ResultKey, Kept>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        kept.retain(|_, kept| kept.until > now);
        kept
    }

    /// Retains the beginning of a body, in place of an earlier one of this result.
    pub(crate) fn keep(&self, key: &ResultKey, name: String, partial: Partial) {
        let until = Instant::now() + PATIENCE;
        self.lock().insert(key.clone(), Kept { name, until, partial });
    }

    /// Number of bytes received of that body.
    pub(crate) fn received(&self, key: &ResultKey, name: &str) -> Option<u64> {
        let kept = self.lock();
        let kept = kept.get(key).filter(|kept| kept.name == name)?;
        Some(kept.partial.size)
    }

    /// The retained beginning of the body, if `part` continues it; otherwise it is removed.
    pub(crate) fn take(&self, key: &ResultKey, part: &Part) -> Option<Partial> {
        let kept = self.lock().remove(key)?;
        (kept.name == part.name && kept.partial.size == part.from).then_some(kept.partial)
    }

    /// Forgets the beginning of a body whose rest will not be sent.
    pub(crate) fn forget(&self, key: &ResultKey) {
        self.lock().remove(key);
    }

    /// Forgets all beginnings, to free their space.
    pub(crate) fn forget_all(&self) {
        self.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use sono_types::{PluginName, Target, UploadLimits};

    use super::*;
    use crate::ingest::quota::UploadQuota;

    #[test]
    fn ranges_are_those_of_a_rest() {
        let part = |from, whole| {
            Some(Part {
                name: "a".to_owned(),
                from,
                whole,
            })
        };
        for (name, range, parsed) in [
            (Some("a"), None, part(0, None)),
            (Some("a"), Some("bytes 5-9/10"), part(5, Some(10))),
            (Some("a"), Some("bytes 0-9/10"), part(0, Some(10))),
            (Some("a"), Some("bytes 5-8/10"), None),
            (Some("a"), Some("bytes 9-5/10"), None),
            (Some("a"), Some("bytes 5-18446744073709551615/0"), None),
            (Some("a"), Some("bytes */10"), None),
            (Some("a"), Some("lines 5-9/10"), None),
            (Some(""), None, None),
            (Some(&*"a".repeat(101)), None, None),
            (None, Some("bytes 5-9/10"), None),
        ] {
            assert_eq!(Part::parse(name, range), parsed, "{name:?} {range:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_beginning_is_there_for_its_own_rest_and_not_for_ever() {
        let limits = UploadLimits::DEFAULT;
        let quota = Arc::new(UploadQuota::new(&limits, 0));
        let key = ResultKey::new(PluginName::parse("p").unwrap(), Target::Global);
        let beginning = || Partial {
            file: tempfile::NamedTempFile::new().unwrap().into_temp_path(),
            size: 5,
            reserved: Reserved::new(Arc::clone(&quota)),
        };
        let rest = |name: &str, from| Part {
            name: name.to_owned(),
            from,
            whole: None,
        };
        let partials = Partials::default();
        let kept = || partials.keep(&key, "a".to_owned(), beginning());
        for (part, is_there) in [(rest("a", 5), true), (rest("a", 4), false), (rest("b", 5), false)] {
            kept();
            assert_eq!(partials.received(&key, "a"), Some(5));
            assert_eq!(partials.received(&key, "b"), None);
            assert_eq!(partials.take(&key, &part).is_some(), is_there, "{part:?}");
            assert_eq!(partials.received(&key, "a"), None, "{part:?}");
        }
        kept();
        tokio::time::advance(PATIENCE).await;
        assert_eq!(partials.received(&key, "a"), None);
        kept();
        partials.forget(&key);
        assert_eq!(partials.received(&key, "a"), None);
        kept();
        partials.forget_all();
        assert_eq!(partials.received(&key, "a"), None);
    }
}
