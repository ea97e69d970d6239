//! Options for result trees that are compatible with Sonobuoy.

use sono_types::constants;

/// Behaviours of Sonobuoy that result trees reproduce. By default none: trees are more precise than Sonobuoy's.
///
/// Changes that only add to a tree (nested suites, output of failed tests, text between events) have no option.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compatibility {
    /// JUnit suites and files without tests pass (weakness W-42). Default: such a file is `unknown`, with the reason in
    /// `meta.error`; an empty suite in a file with tests is `skipped`.
    pub empty_passes: bool,
    /// Invalid Go test events are ignored, and the file's status is that of the finished tests (weakness W-16). Default:
    /// an invalid event is an `unknown` item, and so is a test that started and did not finish.
    pub broken_streams_pass: bool,
    /// A JUnit case with a `skipped` element is skipped, even if it has a failure. Default: the failure takes precedence.
    pub skipped_wins: bool,
    /// The status of an item with children is computed only from its leaves. Default: an item of a manual result has also
    /// failed if its own status is a failure, in upper or lower case.
    pub leaves_decide: bool,
    /// One custom status makes every item with children a list of counts (weakness W-43). Default: items with failures are
    /// `failed`, and only items with custom statuses below them are counts.
    pub counts_everywhere: bool,
    /// Details of errors are texts in Go's print format (weakness W-51). Default: they are structured values.
    pub printed_details: bool,
    /// Every error that contains the word `timeout` is a timeout (weakness W-41). Default: only the timeout error of the
    /// aggregator is.
    pub timeout_by_word: bool,
}

impl Compatibility {
    /// All behaviours of Sonobuoy.
    pub const SONOBUOY: Self = Self {
        empty_passes: true,
        broken_streams_pass: true,
        skipped_wins: true,
        leaves_decide: true,
        counts_everywhere: true,
        printed_details: true,
        timeout_by_word: true,
    };

    /// Only [`Self::counts_everywhere`]: custom statuses are counted like in Sonobuoy. Hides no failure.
    pub const COUNTS: Self = Self {
        empty_passes: false,
        broken_streams_pass: false,
        skipped_wins: false,
        leaves_decide: false,
        counts_everywhere: true,
        printed_details: false,
        timeout_by_word: false,
    };

    /// Parses `ResultsCompatibility` of the configuration: empty is the default, `sonobuoy` is
    /// [`Compatibility::SONOBUOY`], `sonobuoy-counts` is [`Compatibility::COUNTS`]. Other names are invalid.
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
    fn compatibility_names_are_parsed() {
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
