//! Which lines of a log that is read again were shown before. Pure.
//!
//! A log's lines keep their order, but their times may be equal, and may step back with the node's clock. The server leaves
//! out lines before a time, in whole seconds, wherever they stand. So a log is asked for again from some time before its
//! last line, and what was shown of that is recognised by time and text, as often as it was shown.

use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use jiff::{SignedDuration, Timestamp};

/// How far a clock may step back while a log is not being read.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);
/// Lines that are remembered.
const MOST: usize = 8192;

/// A line without its text.
type Mark = (Option<Timestamp>, u64);

/// The last lines of a log that were shown.
#[derive(Debug, Default)]
pub(super) struct Shown {
    lines: VecDeque<Mark>,
    /// There are lines before the first remembered one that may have its time.
    cut: bool,
    last: Option<Timestamp>,
    overlap: Option<Overlap>,
}

/// What is expected again.
#[derive(Debug)]
struct Overlap {
    left: HashMap<Mark, usize>,
    /// Some of it has come.
    matched: bool,
}

impl Shown {
    /// Nothing yet; `cut` where only the end of the log is asked for.
    pub(super) fn new(cut: bool) -> Self {
        Self { cut, ..Self::default() }
    }

    /// From when on the log is to be read again; nothing where no line has come that had a time.
    pub(super) fn since(&self) -> Option<Timestamp> {
        Some(self.last?.saturating_sub(MARGIN).unwrap_or(Timestamp::MIN))
    }

    /// The log is read again from [`Shown::since`] on.
    pub(super) fn again(&mut self) {
        let mut left = HashMap::new();
        for mark in &self.lines {
            *left.entry(*mark).or_default() += 1;
        }
        self.overlap = (!left.is_empty()).then_some(Overlap { left, matched: false });
    }

    /// Whether a line is to be shown: it is remembered then.
    pub(super) fn is_new(&mut self, time: Option<Timestamp>, text: &[u8]) -> bool {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let mark = (time, hasher.finish());
        if self.was_shown(mark) {
            return false;
        }
        // What follows a new line is new.
        self.overlap = None;
        self.last = time.or(self.last);
        self.lines.push_back(mark);
        self.forget();
        true
    }

    fn was_shown(&mut self, mark: Mark) -> bool {
        let Some(overlap) = &mut self.overlap else { return false };
        if let Some(left) = overlap.left.get_mut(&mark) {
            overlap.matched = true;
            *left -= 1;
            if *left == 0 {
                overlap.left.remove(&mark);
            }
            return true;
        }
        // Lines before those that are remembered.
        let first = self.lines.front().and_then(|(time, _)| *time);
        let is_older = match (mark.0, first) {
            (Some(time), Some(first)) => time < first || (self.cut && time == first),
            _ => false,
        };
        is_older && !overlap.matched
    }

    /// Drops what will not be asked for again, and what is too much.
    fn forget(&mut self) {
        let since = self.since();
        while let Some((time, _)) = self.lines.front() {
            let is_old = time.is_some() && *time < since;
            let is_too_much = self.lines.len() > MOST;
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

    /// A line at so many seconds.
    fn line(seconds: i64, text: &str) -> (Timestamp, String) {
        (
            Timestamp::from_second(1_800_000_000 + seconds).unwrap(),
            text.to_owned(),
        )
    }

    /// What a kubelet sends of a log from a time on, which it reads in whole seconds.
    fn sent(log: &[(Timestamp, String)], since: Option<Timestamp>) -> Written {
        let since = since.map(|since| Timestamp::from_second(since.as_second()).unwrap());
        let is_sent = |(time, _): &&(Timestamp, String)| since.is_none_or(|since| *time >= since);
        log.iter().filter(is_sent).cloned().collect()
    }

    /// Reads a log that has this many lines each time it is opened, of which `rotated` are gone by then.
    fn read(log: &[(Timestamp, String)], opened: &[(usize, usize)]) -> Written {
        let mut shown = Shown::default();
        let mut out = Vec::new();
        for (rotated, length) in opened {
            let since = shown.since();
            shown.again();
            for (time, text) in sent(&log[*rotated..*length], since) {
                if shown.is_new(Some(time), text.as_bytes()) {
                    out.push((time, text));
                }
            }
        }
        out
    }

    /// Every line once, however the reading was cut, and whatever the clock does.
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
            // A clock that steps back by half a minute, and on again.
            vec![
                line(50, "a"),
                line(51, "b"),
                line(20, "c"),
                line(21, "b"),
                line(51, "b"),
                line(52, "d"),
            ],
            // Old lines have lost their meaning long ago.
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
        let log: Written = (0..MOST * 2).map(|at| line(0, &format!("{at}"))).collect();
        let end = log.len() - 1;
        assert_eq!(read(&log, &[(0, end), (0, log.len())]), log);
    }

    /// `--tail 1` of three lines of one second.
    #[test]
    fn lines_before_the_tail_do_not_follow_later() {
        let log = [line(0, "a"), line(1, "b"), line(1, "c"), line(1, "d")];
        let mut shown = Shown::new(true);
        assert!(shown.is_new(Some(log[2].0), b"c"));
        shown.again();
        let new: Vec<&str> = log
            .iter()
            .filter(|(time, text)| shown.is_new(Some(*time), text.as_bytes()))
            .map(|(_, text)| text.as_str())
            .collect();
        assert_eq!(new, ["d"]);
    }

    #[test]
    fn lines_without_a_time_are_recognised_by_their_text() {
        let mut shown = Shown::default();
        let mut read = |lines: &[&str]| -> Vec<String> {
            shown.again();
            let new = lines.iter().filter(|line| shown.is_new(None, line.as_bytes()));
            new.map(ToString::to_string).collect()
        };
        assert_eq!(read(&["a", "a"]), ["a", "a"]);
        assert_eq!(read(&["a", "a", "a", "b"]), ["a", "b"]);
    }
}
