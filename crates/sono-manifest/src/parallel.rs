//! Parallelism of the Kubernetes tests.
//!
//! The runner of the test image supports only `true`, `y` and `Y` in `E2E_PARALLEL`; a number of processes must be passed to
//! Ginkgo as an argument in `E2E_EXTRA_GINKGO_ARGS`.
//!
//! Ginkgo runs tests with the decorator `Serial` one at a time, after all others have ended. Kubernetes uses the decorator for
//! its `[Serial]` tests since 1.29; before, `[Serial]` was only part of the name.

use std::{fmt, num::NonZeroU16, str::FromStr};

use serde_json::Value;

use crate::{
    Definition,
    ginkgo_arguments::{self, variable},
};

const PARALLEL: &str = "E2E_PARALLEL";
/// First release that runs serial tests one at a time with several processes.
const SERIAL_DECORATOR_SINCE: (u64, u64) = (1, 29);
/// First release with Ginkgo 2, which supports `--procs`.
const PROCS_SINCE: (u64, u64) = (1, 25);
/// Ginkgo's arguments for the number of processes, without dashes.
const PROCESS_ARGUMENTS: [&str; 3] = ["procs", "nodes", "p"];

/// Number of tests that run in parallel: a value of `E2E_PARALLEL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parallel {
    /// One test at a time.
    Off,
    /// As many as Ginkgo chooses; skips serial tests if nothing else is skipped. The test image's meaning of `true`.
    WithoutSerial,
    /// As many as Ginkgo chooses by the processors of the pod, including serial tests.
    Auto,
    /// A number of processes, including serial tests.
    Processes(NonZeroU16),
}

/// Error of a text that is not a [`Parallel`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected true, false, auto or a number from 1 to 65535")]
pub struct InvalidParallel;

impl FromStr for Parallel {
    type Err = InvalidParallel;

    fn from_str(text: &str) -> Result<Self, InvalidParallel> {
        match text.trim().to_ascii_lowercase().as_str() {
            "" | "false" | "no" | "n" => Ok(Self::Off),
            "true" | "yes" | "y" => Ok(Self::WithoutSerial),
            "auto" => Ok(Self::Auto),
            number => number.parse().map(Self::Processes).map_err(|_| InvalidParallel),
        }
    }
}

impl fmt::Display for Parallel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => formatter.write_str("false"),
            Self::WithoutSerial => formatter.write_str("true"),
            Self::Auto => formatter.write_str("auto"),
            Self::Processes(number) => number.fmt(formatter),
        }
    }
}

impl Parallel {
    /// Interprets a value of the variable like the runner of the test image and [`parallelize`].
    fn of_variable(value: &str) -> Self {
        match value {
            "true" | "y" | "Y" => Self::WithoutSerial,
            other => other
                .parse()
                .ok()
                .filter(|parallel| matches!(parallel, Self::Auto | Self::Processes(_)))
                .unwrap_or(Self::Off),
        }
    }

    /// Ginkgo's argument for this number of processes.
    fn argument(self) -> Option<String> {
        match self {
            Self::Off | Self::WithoutSerial => None,
            Self::Auto => Some("--p".to_owned()),
            Self::Processes(number) => Some(format!("--procs={number}")),
        }
    }

    fn is_one_process(self) -> bool {
        matches!(self, Self::Off) || matches!(self, Self::Processes(number) if number.get() == 1)
    }
}

/// Notice about the effect of the requested number of processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParallelNotice {
    /// Serial tests are skipped.
    SerialSkipped,
    /// The image is old and runs serial tests in parallel with others.
    SerialInParallel { version: String },
    /// An argument in `E2E_EXTRA_GINKGO_ARGS` overrides the requested number.
    Overridden { requested: Parallel, argument: String },
}

impl fmt::Display for ParallelNotice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SerialSkipped => formatter.write_str(
                "note: E2E_PARALLEL=true with an empty E2E_SKIP skips tests that match \\[Serial\\]; \
                 --e2e-parallel auto also runs them, one at a time at the end",
            ),
            Self::SerialInParallel { version } => write!(
                formatter,
                "warning: Kubernetes {version} runs serial tests in parallel with others, which makes them fail at random; \
                 --e2e-skip '\\[Serial\\]' skips them"
            ),
            Self::Overridden { requested, argument } => write!(
                formatter,
                "note: `{argument}` in E2E_EXTRA_GINKGO_ARGS takes precedence over E2E_PARALLEL={requested}"
            ),
        }
    }
}

/// Error of a number of processes that the tests do not support.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParallelError {
    /// Kubernetes before 1.29 with serial tests.
    #[error(
        "the selection may contain serial tests, which Kubernetes {version} runs in parallel with others; 1.29 and later run them one at a time"
    )]
    SerialInParallel { version: String },
    /// Kubernetes before 1.25.
    #[error("the tests of Kubernetes {version} do not support a number of processes; 1.25 and later do")]
    NoProcs { version: String },
    /// The variable takes its value from another object.
    #[error("cannot add an argument to E2E_EXTRA_GINKGO_ARGS: the variable uses valueFrom")]
    Indirect,
}

impl ParallelError {
    /// Hint for the user.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::SerialInParallel { .. } => {
                "skip serial tests with --e2e-skip '\\[Serial\\]', or use --e2e-parallel false"
            }
            Self::NoProcs { .. } => "use --e2e-parallel true, which skips serial tests, or --e2e-parallel false",
            Self::Indirect => "add --procs=N to that object, and omit --e2e-parallel",
        }
    }
}

/// Passes the number of processes in the plugin's `E2E_PARALLEL` to Ginkgo.
///
/// The user's arguments for Ginkgo are preserved; an argument for the number of processes takes precedence. Idempotent.
///
/// `kubernetes_version` is used if the image's tag is not a version. `matches(expression, text)` evaluates a Go regular
/// expression.
///
/// # Errors
///
/// Fails if the image is too old or the variable cannot be changed.
pub fn parallelize(
    definition: &mut Definition,
    kubernetes_version: &str,
    matches: &dyn Fn(&str, &str) -> bool,
) -> Result<Option<ParallelNotice>, ParallelError> {
    let Some(value) = variable(&definition.spec, PARALLEL) else {
        return Ok(None);
    };
    let parallel = Parallel::of_variable(value);
    let image = definition.spec.get("image").and_then(Value::as_str).unwrap_or_default();
    let version = version_of(image, kubernetes_version);
    let is_before = |release| version.as_ref().is_some_and(|(numbers, _)| *numbers < release);
    let version_text = || version.as_ref().map(|(_, text)| text.clone()).unwrap_or_default();
    let skip = variable(&definition.spec, "E2E_SKIP").unwrap_or_default();
    let focus = variable(&definition.spec, "E2E_FOCUS").unwrap_or_default();
    let skips_serial = matches(skip, "[Serial]") || (is_list_of_names(focus) && !focus.contains("Serial"));
    let Some(argument) = parallel.argument() else {
        return Ok(match parallel {
            Parallel::WithoutSerial if skip.is_empty() && !skips_serial => Some(ParallelNotice::SerialSkipped),
            Parallel::WithoutSerial if is_before(SERIAL_DECORATOR_SINCE) && !skips_serial => {
                Some(ParallelNotice::SerialInParallel {
                    version: version_text(),
                })
            }
            _ => None,
        });
    };
    if let Some(existing) = ginkgo_arguments::find(&definition.spec, &PROCESS_ARGUMENTS) {
        return Ok((existing != argument).then(|| ParallelNotice::Overridden {
            requested: parallel,
            argument: existing.to_owned(),
        }));
    }
    if ginkgo_arguments::is_indirect(&definition.spec) {
        return Err(ParallelError::Indirect);
    }
    if is_before(PROCS_SINCE) && matches!(parallel, Parallel::Processes(_)) {
        return Err(ParallelError::NoProcs {
            version: version_text(),
        });
    }
    if is_before(SERIAL_DECORATOR_SINCE) && !parallel.is_one_process() && !skips_serial {
        return Err(ParallelError::SerialInParallel {
            version: version_text(),
        });
    }
    ginkgo_arguments::add(&mut definition.spec, &argument);
    Ok(None)
}

/// Release and text of the version in an image's tag, else of `kubernetes_version`.
fn version_of(image: &str, kubernetes_version: &str) -> Option<((u64, u64), String)> {
    let image = image.split_once('@').map_or(image, |(image, _)| image);
    let last = image.rsplit('/').next().unwrap_or_default();
    let tag = last.split_once(':').map_or("", |(_, tag)| tag);
    [tag, kubernetes_version]
        .into_iter()
        .find_map(|text| Some((release(text)?, text.to_owned())))
}

/// Major and minor version: `(1, 28)` for `v1.28.3-gke.100`.
fn release(version: &str) -> Option<(u64, u64)> {
    let version = version.strip_prefix('v').unwrap_or(version);
    let numbers = version.split(['-', '+', '_']).next()?;
    let mut numbers = numbers.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Whether an expression is anchored at both ends and consists of quoted names, so that it matches only these.
fn is_list_of_names(expression: &str) -> bool {
    let Some(inner) = expression.strip_prefix('^').and_then(|rest| rest.strip_suffix('$')) else {
        return false;
    };
    let mut depth = 0_usize;
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.next().is_none_or(|quoted| quoted.is_ascii_alphanumeric()) => return false,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => return false,
            '.' | '*' | '+' | '[' | '{' | '^' | '$' => return false,
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests;
