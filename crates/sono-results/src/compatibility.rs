//! Where Sonobuoy's trees of results say less than what is known.

use sono_types::constants;

/// What to make of results in the same way as Sonobuoy does, although something truer can be said. The default is the
/// truth in all respects; each field takes one of them back.
///
/// What only adds to a tree (suites within suites, the output of failed tests, text between events) has no switch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compatibility {
    /// A JUnit suite and a file without any test pass (weakness W-42). The truth: such a file is `unknown`, and says
    /// so in `meta.error`; a suite without tests in a file that has some is `skipped`.
    pub empty_passes: bool,
    /// Of a broken stream of Go test events, only what could be read counts, and the file's status is that of the
    /// tests that ended (weakness W-16). The truth: what cannot be read is an `unknown` item, and so is a test that
    /// began and did not end.
    pub broken_streams_pass: bool,
    /// A JUnit case with a `skipped` element is skipped whatever else it has. The truth: a failure counts more.
    pub skipped_wins: bool,
    /// The status of an item with others below it is that of the leaves alone. The truth: an item of a manual result that
    /// says itself that it failed has failed, in whatever case it writes so.
    pub leaves_decide: bool,
    /// One status of a plugin's own anywhere makes every item with children a list of counts (weakness W-43). The truth:
    /// what has a failure below it is `failed`, and only items with such statuses below them are counts.
    pub counts_everywhere: bool,
    /// The details of errors are texts as Go prints them (weakness W-51). The truth: they are the values themselves.
    pub printed_details: bool,
    /// Every error with the word `timeout` in it is a timeout (weakness W-41). The truth: only the aggregator's own
    /// is.
    pub timeout_by_word: bool,
}

impl Compatibility {
    /// Everything as Sonobuoy does it.
    pub const SONOBUOY: Self = Self {
        empty_passes: true,
        broken_streams_pass: true,
        skipped_wins: true,
        leaves_decide: true,
        counts_everywhere: true,
        printed_details: true,
        timeout_by_word: true,
    };

    /// Words of plugins counted as Sonobuoy counts them, and the truth in all other respects: it hides no failure.
    pub const COUNTS: Self = Self {
        empty_passes: false,
        broken_streams_pass: false,
        skipped_wins: false,
        leaves_decide: false,
        counts_everywhere: true,
        printed_details: false,
        timeout_by_word: false,
    };

    /// What the configuration's `ResultsCompatibility` names: nothing is the truth, `sonobuoy` is
    /// [`Compatibility::SONOBUOY`], `sonobuoy-counts` is [`Compatibility::COUNTS`]; any other name is none.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "" => Some(Self::default()),
            "sonobuoy" => Some(Self::SONOBUOY),
            constants::COMPATIBLE_COUNTS => Some(Self::COUNTS),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_truth() {
        assert_eq!(Compatibility::from_name(""), Some(Compatibility::default()));
        assert_eq!(Compatibility::from_name("sonobuoy"), Some(Compatibility::SONOBUOY));
        assert_eq!(Compatibility::from_name("sonobuoy-counts"), Some(Compatibility::COUNTS));
        let counts = Compatibility {
            counts_everywhere: true,
            ..Compatibility::default()
        };
        assert_eq!(Compatibility::COUNTS, counts);
        assert_eq!(Compatibility::from_name("Sonobuoy 1"), None);
    }
}
