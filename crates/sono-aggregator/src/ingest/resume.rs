//! Interrupted bodies, for senders that resume them ([`sono_types::routes::UPLOAD_HEADER`]).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sono_types::ResultKey;
use tempfile::TempPath;
use tokio::time::Instant;

use crate::ingest::quota::Reservation;

/// Minimum size of a resumable body in bytes: smaller ones are sent again faster than a query takes.
const MIN_RESUMABLE_BYTES: u64 = 1 << 20;
/// How long a partial body is retained. Senders retry within half a minute.
const RETENTION: Duration = Duration::from_mins(10);
/// Maximum length of a name.
const MAX_NAME_LETTERS: usize = 100;

/// The part of a body that a request contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UploadPart {
    /// The sender's name for the whole body.
    pub(crate) name: String,
    /// Offset of this part in bytes.
    pub(crate) from: u64,
    /// Size of the whole body in bytes, if the sender states it.
    pub(crate) whole: Option<u64>,
}

impl UploadPart {
    /// Parses the headers of a request; `None` if the sender does not resume uploads, or the headers are invalid.
    pub(crate) fn parse(name: Option<&str>, range: Option<&str>) -> Option<Self> {
        let name = name
            .filter(|name| (1..=MAX_NAME_LETTERS).contains(&name.len()))?
            .to_owned();
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

/// The received beginning of a body.
#[derive(Debug)]
pub(crate) struct Partial {
    pub(crate) file: TempPath,
    pub(crate) size: u64,
    /// Counts its bytes until the body is complete or forgotten.
    pub(crate) reservation: Reservation,
}

#[derive(Debug)]
struct RetainedPartial {
    name: String,
    until: Instant,
    partial: Partial,
}

/// The partial bodies of a run, at most one per result.
#[derive(Debug, Clone, Default)]
pub(crate) struct Partials(Arc<Mutex<BTreeMap<ResultKey, RetainedPartial>>>);

impl Partials {
    /// Whether the received part of a body is worth retaining.
    pub(crate) fn is_worth_retaining(size: u64) -> bool {
        size >= MIN_RESUMABLE_BYTES
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ResultKey, RetainedPartial>> {
        let mut retained = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        retained.retain(|_, retained| retained.until > now);
        retained
    }

    /// Retains the beginning of a body, in place of an earlier one of this result.
    pub(crate) fn retain(&self, key: &ResultKey, name: String, partial: Partial) {
        let until = Instant::now() + RETENTION;
        self.lock()
            .insert(key.clone(), RetainedPartial { name, until, partial });
    }

    /// Number of received bytes of that body.
    pub(crate) fn received(&self, key: &ResultKey, name: &str) -> Option<u64> {
        let retained = self.lock();
        let retained = retained.get(key).filter(|retained| retained.name == name)?;
        Some(retained.partial.size)
    }

    /// The retained beginning of the body, if `part` continues it; otherwise it is removed.
    pub(crate) fn take(&self, key: &ResultKey, part: &UploadPart) -> Option<Partial> {
        let retained = self.lock().remove(key)?;
        (retained.name == part.name && retained.partial.size == part.from).then_some(retained.partial)
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
    fn part_headers_must_describe_the_rest_of_a_body() {
        let part = |from, whole| {
            Some(UploadPart {
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
            assert_eq!(UploadPart::parse(name, range), parsed, "{name:?} {range:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn partial_body_is_resumed_by_its_own_rest_until_it_expires() {
        let limits = UploadLimits::DEFAULT;
        let quota = Arc::new(UploadQuota::new(&limits, 0));
        let key = ResultKey::new(PluginName::parse("p").unwrap(), Target::Global);
        let beginning = || Partial {
            file: tempfile::NamedTempFile::new().unwrap().into_temp_path(),
            size: 5,
            reservation: Reservation::new(Arc::clone(&quota)),
        };
        let rest = |name: &str, from| UploadPart {
            name: name.to_owned(),
            from,
            whole: None,
        };
        let partials = Partials::default();
        let retain = || partials.retain(&key, "a".to_owned(), beginning());
        for (part, is_resumed) in [(rest("a", 5), true), (rest("a", 4), false), (rest("b", 5), false)] {
            retain();
            assert_eq!(partials.received(&key, "a"), Some(5));
            assert_eq!(partials.received(&key, "b"), None);
            assert_eq!(partials.take(&key, &part).is_some(), is_resumed, "{part:?}");
            assert_eq!(partials.received(&key, "a"), None, "{part:?}");
        }
        retain();
        tokio::time::advance(RETENTION).await;
        assert_eq!(partials.received(&key, "a"), None);
        retain();
        partials.forget(&key);
        assert_eq!(partials.received(&key, "a"), None);
        retain();
        partials.forget_all();
        assert_eq!(partials.received(&key, "a"), None);
    }
}
