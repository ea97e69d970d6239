//! How many of the Kubernetes tests run at the same time. Their image's runner acts on `true`, `y` and `Y` in `E2E_PARALLEL`
//! alone; a number of processes has to reach Ginkgo as one of its own arguments, in `E2E_EXTRA_GINKGO_ARGS`.
//!
//! Ginkgo runs tests with its decorator `Serial` alone, in its first process, after all others have ended. Kubernetes gives
//! that decorator to its `[Serial]` tests from 1.29 on; before, the word was a part of the name alone.

use std::{fmt, num::NonZeroU16, str::FromStr};

use serde_json::{Value, json};

use crate::{Definition, containers};

const PARALLEL: &str = "E2E_PARALLEL";
const GINKGO_ARGS: &str = "E2E_EXTRA_GINKGO_ARGS";
/// Separates arguments in [`GINKGO_ARGS`]; a blank where it is not set.
const SEPARATOR: &str = "E2E_EXTRA_ARGS_SEP";
/// The first release whose serial tests run alone among several processes.
const SERIAL_ALONE: (u64, u64) = (1, 29);
/// The first release with Ginkgo 2, which knows `--procs`.
const KNOWS_PROCS: (u64, u64) = (1, 25);
/// Ginkgo's arguments about the number of processes, without dashes.
const OF_GINKGO: [&str; 3] = ["procs", "nodes", "p"];

/// How many tests run at the same time: a value of `E2E_PARALLEL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parallel {
    /// One.
    Off,
    /// As many as Ginkgo chooses, without the serial tests where nothing else is skipped: the image's own meaning of `true`.
    WithoutSerial,
    /// As many as Ginkgo chooses from the processors of the tests' pod, serial tests too.
    Auto,
    /// This many, serial tests too.
    Processes(NonZeroU16),
}

/// A text that is not a [`Parallel`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of true, false, auto, or a number from 1 to 65535")]
pub struct NotParallel;

impl FromStr for Parallel {
    type Err = NotParallel;

    fn from_str(text: &str) -> Result<Self, NotParallel> {
        match text.trim().to_ascii_lowercase().as_str() {
            "" | "false" | "no" | "n" => Ok(Self::Off),
            "true" | "yes" | "y" => Ok(Self::WithoutSerial),
            "auto" => Ok(Self::Auto),
            number => number.parse().map(Self::Processes).map_err(|_| NotParallel),
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
    /// What the runner of the tests' image, or [`parallelize`], makes of a value.
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

    /// Ginkgo's argument for it.
    fn argument(self) -> Option<String> {
        match self {
            Self::Off | Self::WithoutSerial => None,
            Self::Auto => Some("--p".to_owned()),
            Self::Processes(number) => Some(format!("--procs={number}")),
        }
    }

    fn is_one_at_a_time(self) -> bool {
        matches!(self, Self::Off) || matches!(self, Self::Processes(number) if number.get() == 1)
    }
}

/// What people should know about a number of processes that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParallelNotice {
    /// Serial tests do not run.
    SerialLeftOut,
    /// Serial tests of so old an image run next to others.
    SerialNotAlone { version: String },
    /// The user's own arguments for Ginkgo say another number.
    Overridden { asked: Parallel, given: String },
}

impl fmt::Display for ParallelNotice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SerialLeftOut => formatter.write_str(
                "note: tests that match \\[Serial\\] are left out, as E2E_PARALLEL=true does where E2E_SKIP is empty; \
                 --e2e-parallel auto runs them too, alone at the end",
            ),
            Self::SerialNotAlone { version } => write!(
                formatter,
                "warning: serial tests of Kubernetes {version} run next to other tests, which makes them fail at random; \
                 --e2e-skip '\\[Serial\\]' leaves them out"
            ),
            Self::Overridden { asked, given } => write!(
                formatter,
                "note: E2E_EXTRA_GINKGO_ARGS has `{given}`, which takes precedence over E2E_PARALLEL={asked}"
            ),
        }
    }
}

/// Why tests cannot run as was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParallelError {
    /// Before Kubernetes 1.29.
    #[error(
        "the selection may contain serial tests, which Kubernetes {version} runs next to others; they run alone from 1.29 on"
    )]
    SerialTogether { version: String },
    /// Before Kubernetes 1.25.
    #[error("the tests of Kubernetes {version} cannot be given a number of processes; 1.25 and later can")]
    NoProcs { version: String },
    /// The variable takes its value from another object.
    #[error("E2E_EXTRA_GINKGO_ARGS takes its value from another object, to which nothing can be added")]
    Indirect,
}

impl ParallelError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::SerialTogether { .. } => "leave them out: --e2e-skip '\\[Serial\\]'; or --e2e-parallel false",
            Self::NoProcs { .. } => "--e2e-parallel true, which leaves serial tests out, or --e2e-parallel false",
            Self::Indirect => "write --procs=N there, and leave out --e2e-parallel",
        }
    }
}

/// Hands a number of processes in `E2E_PARALLEL` of the plugin on to Ginkgo. The user's own arguments for Ginkgo stay, and
/// one of them about the number of processes takes precedence. Doing it twice changes nothing.
///
/// `kubernetes_version` counts where the image's tag is not a version; `matches` says whether a regular expression (Go's)
/// matches a text.
///
/// # Errors
///
/// The image is too old, or the variable cannot be changed.
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
    let leaves_serial_out = matches(skip, "[Serial]") || (is_list_of_names(focus) && !focus.contains("Serial"));
    let Some(argument) = parallel.argument() else {
        return Ok(match parallel {
            Parallel::WithoutSerial if skip.is_empty() && !leaves_serial_out => Some(ParallelNotice::SerialLeftOut),
            Parallel::WithoutSerial if is_before(SERIAL_ALONE) && !leaves_serial_out => {
                Some(ParallelNotice::SerialNotAlone {
                    version: version_text(),
                })
            }
            _ => None,
        });
    };
    let separator = variable(&definition.spec, SEPARATOR)
        .filter(|separator| !separator.is_empty())
        .unwrap_or(" ")
        .to_owned();
    let entry = containers::each(&definition.spec, "env").find(|entry| containers::name(entry) == GINKGO_ARGS);
    let is_indirect = entry.is_some_and(|entry| entry.get("valueFrom").is_some_and(|from| !from.is_null()));
    let own = variable(&definition.spec, GINKGO_ARGS).unwrap_or_default().to_owned();
    if let Some(given) = own.split(&*separator).find(|argument| is_about_processes(argument)) {
        return Ok((given != argument).then(|| ParallelNotice::Overridden {
            asked: parallel,
            given: given.to_owned(),
        }));
    }
    if is_indirect {
        return Err(ParallelError::Indirect);
    }
    if is_before(KNOWS_PROCS) && matches!(parallel, Parallel::Processes(_)) {
        return Err(ParallelError::NoProcs {
            version: version_text(),
        });
    }
    if is_before(SERIAL_ALONE) && !parallel.is_one_at_a_time() && !leaves_serial_out {
        return Err(ParallelError::SerialTogether {
            version: version_text(),
        });
    }
    // An empty argument would be the name of a package.
    let own = own.strip_suffix(&*separator).unwrap_or(&own);
    let merged = if own.trim().is_empty() {
        argument
    } else {
        format!("{own}{separator}{argument}")
    };
    set(&mut definition.spec, GINKGO_ARGS, &merged);
    Ok(None)
}

/// The value of the variable that counts: the last one of that name.
fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let named = containers::each(container, "env").filter(|entry| containers::name(entry) == name);
    named.last()?.get("value")?.as_str()
}

fn set(container: &mut Value, name: &str, value: &str) {
    let Some(list) = containers::list_mut(container, "env") else {
        return;
    };
    let variable = json!({ "name": name, "value": value });
    match list.iter_mut().rev().find(|entry| containers::name(entry) == name) {
        Some(entry) => *entry = variable,
        None => list.push(variable),
    }
}

/// `--procs=4`, `-p`, `--nodes 4`.
fn is_about_processes(argument: &str) -> bool {
    let Some(name) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else {
        return false;
    };
    let name = name.split_once('=').map_or(name, |(name, _)| name);
    OF_GINKGO.contains(&name)
}

/// Release and text of the version that an image's tag names, otherwise those of `kubernetes_version`.
fn version_of(image: &str, kubernetes_version: &str) -> Option<((u64, u64), String)> {
    let image = image.split_once('@').map_or(image, |(image, _)| image);
    let last = image.rsplit('/').next().unwrap_or_default();
    let tag = last.split_once(':').map_or("", |(_, tag)| tag);
    [tag, kubernetes_version]
        .into_iter()
        .find_map(|text| Some((release(text)?, text.to_owned())))
}

/// `(1, 28)` of `v1.28.3-gke.100`.
fn release(version: &str) -> Option<(u64, u64)> {
    let version = version.strip_prefix('v').unwrap_or(version);
    let numbers = version.split(['-', '+', '_']).next()?;
    let mut numbers = numbers.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Whether an expression is anchored at both ends and made of quoted names, so that it matches nothing else.
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
