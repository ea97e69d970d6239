//! Where Sonobuoy's trees of results say less than what is known.

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
        counts_everywhere: true,
        printed_details: true,
        timeout_by_word: true,
    };

    /// What the configuration's `ResultsCompatibility` names: nothing is the truth, `sonobuoy` is
    /// [`Compatibility::SONOBUOY`]; any other name is none.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "" => Some(Self::default()),
            "sonobuoy" => Some(Self::SONOBUOY),
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
        assert_eq!(Compatibility::from_name("Sonobuoy 1"), None);
    }
}
