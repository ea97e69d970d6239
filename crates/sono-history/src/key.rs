//! Names of files: order time and id of a run, `20261122T191939123Z_4f2a….json.gz`.

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};
use sha2::{Digest as _, Sha256};

const ENDING: &str = ".json.gz";
/// Maximum length of an id.
const MAX_ID: usize = 64;
/// Length of the time.
const TIME: usize = "20261122T191939123Z".len();

/// Order time and id of a run. Keys sort by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) time: Timestamp,
    pub(crate) id: String,
}

impl Key {
    pub(crate) fn file_name(&self) -> String {
        let time = TimeZone::UTC.to_datetime(self.time);
        format!("{}_{}{ENDING}", time.strftime("%Y%m%dT%H%M%S%3fZ"), self.id)
    }

    /// The key in a file name; `None` for any other file.
    pub(crate) fn parse(file_name: &str) -> Option<Self> {
        let (time, rest) = file_name.split_at_checked(TIME)?;
        let id = rest.strip_prefix('_')?.strip_suffix(ENDING)?;
        let number = |from: usize, to: usize| -> Option<i16> {
            let digits = time.get(from..to)?;
            digits
                .bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| digits.parse().ok())?
        };
        let small = |from, to| i8::try_from(number(from, to)?).ok();
        let date = civil::Date::new(number(0, 4)?, small(4, 6)?, small(6, 8)?).ok()?;
        let nanoseconds = i32::from(number(15, 18)?) * 1_000_000;
        let clock = civil::Time::new(small(9, 11)?, small(11, 13)?, small(13, 15)?, nanoseconds).ok()?;
        let key = Self {
            time: TimeZone::UTC.to_timestamp(date.to_datetime(clock)).ok()?,
            id: id.to_owned(),
        };
        // Other spellings of a time are not names of this program.
        (is_id(id) && key.file_name() == file_name).then_some(key)
    }
}

/// The id of a run for file names: that of its card, or digits of a hash of the card.
pub(crate) fn id(run: &str, card: &[u8]) -> String {
    if is_id(run) {
        return run.to_owned();
    }
    let mut digits = hex::encode(Sha256::digest(card));
    digits.truncate(12);
    digits
}

fn is_id(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !text.is_empty() && text.len() <= MAX_ID && text.bytes().all(is_letter)
}

/// The order time of a run. A run that is recorded when it ended follows all others, even if a clock stepped back.
pub(crate) fn order_time(
    start: Option<Timestamp>,
    now: Timestamp,
    newest: Option<Timestamp>,
    is_new: bool,
) -> Timestamp {
    let start = start.unwrap_or(now);
    match newest {
        Some(newest) if is_new && start <= newest => {
            newest.checked_add(SignedDuration::from_millis(1)).unwrap_or(start)
        }
        _ => start,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn name_is_read_back() {
        let key = Key {
            time: time("2026-11-22T19:19:39.123Z"),
            id: "4f2a-B".to_owned(),
        };
        assert_eq!(key.file_name(), "20261122T191939123Z_4f2a-B.json.gz");
        assert_eq!(Key::parse("20261122T191939123Z_4f2a-B.json.gz"), Some(key));
    }

    #[test]
    fn other_files_have_no_key() {
        for name in [
            "",
            "index.json",
            "lock",
            "20261122T191939123Z_.json.gz",
            "20261122T191939123Z_a/b.json.gz",
            "20261122T191939123Z_..json.gz",
            "20261122T191939123Z_a.json",
            "20261322T191939123Z_a.json.gz",
            "20261122T251939123Z_a.json.gz",
            "+0261122T191939123Z_a.json.gz",
            "20261122 191939123Z_a.json.gz",
            "é0261122T191939123Z_a.json.gz",
            ".20261122T191939123Z_a.json.gz",
        ] {
            assert_eq!(Key::parse(name), None, "{name}");
        }
        let long = format!("20261122T191939123Z_{}.json.gz", "a".repeat(65));
        assert_eq!(Key::parse(&long), None);
    }

    #[test]
    fn id_is_safe_in_file_names() {
        let uuid = "0a1b2c3d-0000-4000-8000-000000000000";
        assert_eq!(id(uuid, b"card"), uuid);
        for other in ["", "../../x", "a b", "a\u{0}", &"a".repeat(65)] {
            assert_eq!(id(other, b"card").len(), 12, "{other}");
        }
    }

    #[test]
    fn new_run_comes_last_when_a_clock_steps_back() {
        let (start, newest) = (time("2026-11-22T10:00:00Z"), time("2026-11-22T11:00:00Z"));
        let order = |newest, is_new| order_time(Some(start), time("2026-11-22T12:00:00Z"), newest, is_new);
        assert_eq!(order(None, true), start);
        assert_eq!(order(Some(newest), true), time("2026-11-22T11:00:00.001Z"));
        assert_eq!(order(Some(newest), false), start);
        assert_eq!(order_time(None, newest, Some(start), true), newest);
    }
}
