//! Removes repeated lines when a log is read again. Pure.
//!
//! The order of lines is stable, but their times may be equal, and may step back with the node's clock. The API server
//! omits all lines before a time, in whole seconds. So a log is read again from some time before its last line, and
//! repeated lines are recognized by time, text and count.

use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use jiff::{SignedDuration, Timestamp};

/// Maximum backward step of a node's clock between two reads.
const OVERLAP_TIME: SignedDuration = SignedDuration::from_secs(60);
/// Maximum number of remembered lines.
const MAX_REMEMBERED: usize = 8192;

/// Time and hash of a line.
type LineId = (Option<Timestamp>, u64);

/// Filter that remembers the last lines of a log.
#[derive(Debug, Default)]
pub(super) struct LineFilter {
    lines: VecDeque<LineId>,
    /// Whether lines before the first remembered one may have the same time.
    cut: bool,
    last: Option<Timestamp>,
    overlap: Option<Overlap>,
}

/// Lines that are expected to be repeated.
#[derive(Debug)]
struct Overlap {
    left: HashMap<LineId, usize>,
    /// Whether a repeated line was seen.
    matched: bool,
}

impl LineFilter {
    /// Empty filter; `cut` if only the end of the log is read.
    pub(super) fn new(cut: bool) -> Self {
        Self { cut, ..Self::default() }
    }

    /// Start time for reading the log again; `None` before the first line with a time.
    pub(super) fn since(&self) -> Option<Timestamp> {
        Some(self.last?.saturating_sub(OVERLAP_TIME).unwrap_or(Timestamp::MIN))
    }

    /// Prepares for reading the log again from [`LineFilter::since`].
    pub(super) fn restart(&mut self) {
        let mut left = HashMap::new();
        for id in &self.lines {
            *left.entry(*id).or_default() += 1;
        }
        self.overlap = (!left.is_empty()).then_some(Overlap { left, matched: false });
    }

    /// Whether a line is new. A new line is remembered.
    pub(super) fn is_new(&mut self, time: Option<Timestamp>, text: &[u8]) -> bool {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let id = (time, hasher.finish());
        if self.is_repeated(id) {
            return false;
        }
        // Lines after a new line are new.
        self.overlap = None;
        self.last = time.or(self.last);
        self.lines.push_back(id);
        self.forget();
        true
    }

    fn is_repeated(&mut self, id: LineId) -> bool {
        let Some(overlap) = &mut self.overlap else { return false };
        if let Some(left) = overlap.left.get_mut(&id) {
            overlap.matched = true;
            *left -= 1;
            if *left == 0 {
                overlap.left.remove(&id);
            }
            return true;
        }
        // Lines older than the remembered ones.
        let first = self.lines.front().and_then(|(time, _)| *time);
        let is_older = match (id.0, first) {
            (Some(time), Some(first)) => time < first || (self.cut && time == first),
            _ => false,
        };
        is_older && !overlap.matched
    }

    /// Removes lines that are too old or exceed the maximum.
    fn forget(&mut self) {
        let since = self.since();
        while let Some((time, _)) = self.lines.front() {
            let is_old = time.is_some() && *time < since;
            let is_too_much = self.lines.len() > MAX_REMEMBERED;
            if !is_old && !is_too_much {
                return;
            }
            self.cut |= is_too_much;
            self.lines.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Written = Vec<(Timestamp, String)>;

    /// Line at a time in seconds.
    fn line(seconds: i64, text: &str) -> (Timestamp, String) {
        (
            Timestamp::from_second(1_800_000_000 + seconds).unwrap(),
            text.to_owned(),
        )
    }

    /// Lines that a kubelet sends from a time on, in whole seconds.
    fn sent(log: &[(Timestamp, String)], since: Option<Timestamp>) -> Written {
        let since = since.map(|since| Timestamp::from_second(since.as_second()).unwrap());
        let is_sent = |(time, _): &&(Timestamp, String)| since.is_none_or(|since| *time >= since);
        log.iter().filter(is_sent).cloned().collect()
    }

    /// Reads a log several times. `opened` are the numbers of rotated and existing lines at each read.
    fn read(log: &[(Timestamp, String)], opened: &[(usize, usize)]) -> Written {
        let mut filter = LineFilter::default();
        let mut out = Vec::new();
        for (rotated, length) in opened {
            let since = filter.since();
            filter.restart();
            for (time, text) in sent(&log[*rotated..*length], since) {
                if filter.is_new(Some(time), text.as_bytes()) {
                    out.push((time, text));
                }
            }
        }
        out
    }

    /// Every line is new exactly once, for all interruptions and clock changes.
    #[test]
    fn every_line_is_shown_once_in_its_order() {
        for log in [
            // Equal times and equal texts.
            vec![
                line(1, "a"),
                line(1, "a"),
                line(1, "b"),
                line(1, "a"),
                line(2, "a"),
                line(2, "a"),
            ],
            // A clock that steps back by half a minute.
            vec![
                line(50, "a"),
                line(51, "b"),
                line(20, "c"),
                line(21, "b"),
                line(51, "b"),
                line(52, "d"),
            ],
            // Lines that are no longer remembered.
            vec![
                line(0, "a"),
                line(500, "b"),
                line(1000, "c"),
                line(1000, "c"),
                line(990, "d"),
                line(2000, "e"),
            ],
            vec![line(0, ""); 6],
        ] {
            for first in 0..=log.len() {
                for second in first..=log.len() {
                    let opened = [(0, first), (0, second), (0, second), (0, log.len())];
                    assert_eq!(read(&log, &opened), log, "{first} {second}");
                }
            }
        }
    }

    #[test]
    fn rotated_log_is_continued_where_it_was() {
        let log: Written = (0..20).map(|at| line(at / 4, &format!("{}", at % 3))).collect();
        for rotated in 0..=10 {
            assert_eq!(read(&log, &[(0, 10), (rotated, 20)]), log, "{rotated}");
        }
    }

    #[test]
    fn more_lines_than_are_remembered_are_not_repeated() {
        let log: Written = (0..MAX_REMEMBERED * 2).map(|at| line(0, &format!("{at}"))).collect();
        let end = log.len() - 1;
        assert_eq!(read(&log, &[(0, end), (0, log.len())]), log);
    }

    /// `--tail 1` of three lines of one second.
    #[test]
    fn lines_before_the_tail_do_not_follow_later() {
        let log = [line(0, "a"), line(1, "b"), line(1, "c"), line(1, "d")];
        let mut filter = LineFilter::new(true);
        assert!(filter.is_new(Some(log[2].0), b"c"));
        filter.restart();
        let new: Vec<&str> = log
            .iter()
            .filter(|(time, text)| filter.is_new(Some(*time), text.as_bytes()))
            .map(|(_, text)| text.as_str())
            .collect();
        assert_eq!(new, ["d"]);
    }

    #[test]
    fn lines_without_a_time_are_recognised_by_their_text() {
        let mut filter = LineFilter::default();
        let mut read = |lines: &[&str]| -> Vec<String> {
            filter.restart();
            let new = lines.iter().filter(|line| filter.is_new(None, line.as_bytes()));
            new.map(ToString::to_string).collect()
        };
        assert_eq!(read(&["a", "a"]), ["a", "a"]);
        assert_eq!(read(&["a", "a", "a", "b"]), ["a", "b"]);
    }
}
