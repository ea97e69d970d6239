//! Selections of Kubernetes tests (cli §14 and §3).

use std::collections::BTreeSet;

/// Description of the Kubernetes test suite in every release.
const SUITE: &str = "Kubernetes e2e suite";

/// A predefined selection of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    CertifiedConformance,
    ConformanceLite,
    NonDisruptiveConformance,
    Quick,
}

/// Selection of tests, as values of the test image's variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// `E2E_FOCUS`: a regular expression.
    pub focus: String,
    /// `E2E_SKIP`: a regular expression; empty skips nothing.
    pub skip: String,
    /// `E2E_PARALLEL`.
    pub parallel: String,
}

impl Mode {
    /// All modes in the order in which they are listed.
    pub const ALL: [Self; 4] = [
        Self::CertifiedConformance,
        Self::ConformanceLite,
        Self::NonDisruptiveConformance,
        Self::Quick,
    ];

    /// The default mode.
    pub const DEFAULT: Self = Self::NonDisruptiveConformance;

    /// The mode's name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::CertifiedConformance => "certified-conformance",
            Self::ConformanceLite => "conformance-lite",
            Self::NonDisruptiveConformance => "non-disruptive-conformance",
            Self::Quick => "quick",
        }
    }

    /// Description of the mode for users.
    pub fn description(self) -> &'static str {
        match self {
            Self::CertifiedConformance => {
                "All conformance tests, including disruptive ones, as required for certification. Not suitable for a cluster in use."
            }
            Self::ConformanceLite => {
                "The conformance tests without slow and disruptive ones, run in parallel: high coverage in little time. Not an official selection."
            }
            Self::NonDisruptiveConformance => {
                "All conformance tests except those that disrupt other workloads, for example by restarting nodes or changing permissions."
            }
            Self::Quick => "One test that creates and deletes a pod: a quick check that the cluster works at all.",
        }
    }

    /// The mode with this name; case-insensitive.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.name().eq_ignore_ascii_case(name))
    }

    /// The tests of this mode.
    pub fn selection(self) -> Selection {
        const CONFORMANCE: &str = r"\[Conformance\]";
        let (focus, skip, parallel) = match self {
            Self::CertifiedConformance => (CONFORMANCE, String::new(), false),
            Self::ConformanceLite => (CONFORMANCE, lite_skips(), true),
            Self::NonDisruptiveConformance => (CONFORMANCE, r"\[Disruptive\]|NoExecuteTaintManager".to_owned(), false),
            Self::Quick => ("Pods should be submitted and removed", String::new(), false),
        };
        Selection {
            focus: focus.to_owned(),
            skip,
            parallel: parallel.to_string(),
        }
    }
}

/// Regular expression that matches any of the test names as substrings.
pub fn any_of<'names>(names: impl IntoIterator<Item = &'names str>) -> String {
    names.into_iter().map(quoted).collect::<Vec<_>>().join("|")
}

/// Regular expression that matches exactly these test names and no longer ones.
///
/// 57 tests of Kubernetes 1.37 have names that start with the name of another test. Ginkgo matches the suite's description, a
/// space and the name; Ginkgo 1 (Kubernetes before 1.25) adds `[Top Level]` in between. `suites` are the descriptions of
/// suites other than Kubernetes' own.
pub fn exactly<'names>(
    suites: impl IntoIterator<Item = &'names str>,
    names: impl IntoIterator<Item = &'names str>,
) -> String {
    let suites: BTreeSet<&str> = suites.into_iter().chain([SUITE]).collect();
    let suites: Vec<String> = suites.into_iter().map(|suite| quoted(suite) + " ").collect();
    format!(r"^(?:{})?(?:\[Top Level\] )?(?:{})$", suites.join("|"), any_of(names))
}

/// The tests skipped by the lite mode. Quotes are replaced by `.`, because some shells would interpret them.
fn lite_skips() -> String {
    any_of(include_str!("../data/conformance-lite-skips.txt").lines()).replace('"', ".")
}

/// Quotes a text like Go's `regexp.QuoteMeta`.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for letter in text.chars() {
        if r"\.+*?()|[]{}^$".contains(letter) {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_names_are_case_insensitive() {
        for mode in Mode::ALL {
            assert_eq!(Mode::from_name(&mode.name().to_uppercase()), Some(mode));
        }
        assert_eq!(Mode::from_name("slow"), None);
    }

    /// Length and start of Sonobuoy's value: cli §14 and §C.
    #[test]
    fn lite_mode_skips_the_same_tests_as_sonobuoy() {
        let skip = Mode::ConformanceLite.selection().skip;
        assert_eq!(skip.len(), 7231);
        assert!(
            skip.starts_with(r"Serial|Slow|Disruptive|\[sig-apps\] StatefulSet Basic"),
            "{skip}"
        );
        assert!(skip.contains("exec .cat /tmp/health. liveness"), "{skip}");
    }

    #[test]
    fn exact_names_are_anchored_after_the_suites_description() {
        assert_eq!(
            exactly(["mine"], ["a [b]", "c"]),
            r"^(?:Kubernetes e2e suite |mine )?(?:\[Top Level\] )?(?:a \[b\]|c)$"
        );
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(any_of(["a [b] c.d", "e|f"]), r"a \[b\] c\.d|e\|f");
    }
}
