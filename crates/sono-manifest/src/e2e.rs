//! What the Kubernetes tests are asked to do (cli spec §14 and §3).

use std::collections::BTreeSet;

/// What Kubernetes' suite calls itself, in every release.
const SUITE: &str = "Kubernetes e2e suite";

/// A named choice of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    CertifiedConformance,
    ConformanceLite,
    NonDisruptiveConformance,
    Quick,
}

/// Which tests, in the words of the tests' own variables.
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
    /// In the order in which they are listed.
    pub const ALL: [Self; 4] = [
        Self::CertifiedConformance,
        Self::ConformanceLite,
        Self::NonDisruptiveConformance,
        Self::Quick,
    ];

    /// What runs when nothing is said.
    pub const DEFAULT: Self = Self::NonDisruptiveConformance;

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::CertifiedConformance => "certified-conformance",
            Self::ConformanceLite => "conformance-lite",
            Self::NonDisruptiveConformance => "non-disruptive-conformance",
            Self::Quick => "quick",
        }
    }

    /// What it is for.
    pub fn description(self) -> &'static str {
        match self {
            Self::CertifiedConformance => {
                "All conformance tests, those that disturb the cluster included: what a certification asks for. Not for a cluster that others use."
            }
            Self::ConformanceLite => {
                "The conformance tests without the slow and the disturbing ones, in parallel: the most coverage for the least time. Not an official selection."
            }
            Self::NonDisruptiveConformance => {
                "All conformance tests but those that disturb what else runs on the cluster, such as by restarting nodes or changing permissions."
            }
            Self::Quick => {
                "One test that creates a pod and deletes it again: the fastest answer to whether the cluster works at all."
            }
        }
    }

    /// The mode of that name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.name().eq_ignore_ascii_case(name))
    }

    /// The tests it stands for.
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

/// Names of tests, as one expression that finds exactly these texts.
pub fn any_of<'names>(names: impl IntoIterator<Item = &'names str>) -> String {
    names.into_iter().map(quoted).collect::<Vec<_>>().join("|")
}

/// Names of tests, as one expression that finds these tests and no others: 57 names of Kubernetes 1.37 begin with another's
/// whole name. Ginkgo matches the suite's description, a blank and the name; Ginkgo 1, of Kubernetes before 1.25, has
/// `[Top Level]` between them. `suites` are descriptions other than that of Kubernetes' own.
pub fn exactly<'names>(
    suites: impl IntoIterator<Item = &'names str>,
    names: impl IntoIterator<Item = &'names str>,
) -> String {
    let suites: BTreeSet<&str> = suites.into_iter().chain([SUITE]).collect();
    let suites: Vec<String> = suites.into_iter().map(|suite| quoted(suite) + " ").collect();
    format!(r"^(?:{})?(?:\[Top Level\] )?(?:{})$", suites.join("|"), any_of(names))
}

/// Quotes stand for any letter: not every shell on the way leaves them alone.
fn lite_skips() -> String {
    any_of(include_str!("../data/conformance-lite-skips.txt").lines()).replace('"', ".")
}

/// As Go's `regexp.QuoteMeta`, since Go reads it.
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
    fn modes_are_found_in_any_case() {
        for mode in Mode::ALL {
            assert_eq!(Mode::from_name(&mode.name().to_uppercase()), Some(mode));
        }
        assert_eq!(Mode::from_name("slow"), None);
    }

    /// The length and the ends of what Sonobuoy passes: cli spec §14 and appendix C.
    #[test]
    fn the_lite_mode_skips_what_it_always_did() {
        let skip = Mode::ConformanceLite.selection().skip;
        assert_eq!(skip.len(), 7231);
        assert!(
            skip.starts_with(r"Serial|Slow|Disruptive|\[sig-apps\] StatefulSet Basic"),
            "{skip}"
        );
        assert!(skip.contains("exec .cat /tmp/health. liveness"), "{skip}");
    }

    #[test]
    fn exact_names_are_anchored_behind_the_suites_description() {
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
