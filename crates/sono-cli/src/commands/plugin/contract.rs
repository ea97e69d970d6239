//! Plugin contract (core §4), and its check for one run of a plugin. Pure: [`judge`] receives all evidence.

use indicatif::HumanBytes;
use serde_json::{Value, json};
use sono_local::ProgressPost;
use sono_manifest::{Definition, DriverKind};
use sono_results::summarize;
use sono_types::{Item, ResultFormat, constants, env, item};

/// Outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    Good,
    /// Works here, but may fail elsewhere.
    Doubtful,
    Bad,
}

impl Outcome {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Doubtful => "warn",
            Self::Bad => "fail",
        }
    }
}

/// Check of one point of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) name: &'static str,
    pub(super) outcome: Outcome,
    pub(super) detail: String,
}

impl Point {
    pub(super) fn new(name: &'static str, outcome: Outcome, detail: impl Into<String>) -> Self {
        Self {
            name,
            outcome,
            detail: detail.into(),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let Self { name, outcome, detail } = self;
        json!({ "point": name, "outcome": outcome.word(), "detail": detail })
    }
}

/// Done file and the result that it names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Done {
    /// Path of the result, relative to the results directory if below it.
    pub(super) names: String,
    /// Whether the result is below the results directory, after following links.
    pub(super) is_inside: bool,
    /// Whether the worker wrote the done file, because all containers succeeded without one.
    pub(super) by_worker: bool,
    /// Files of the result that were written after the done file.
    pub(super) later: Vec<String>,
    /// Size of the upload, if known.
    pub(super) bytes: Option<u64>,
    /// Entries of an archive that are not unpacked.
    pub(super) left_out: Vec<String>,
    /// Reason why an archive is rejected.
    pub(super) refused: Option<String>,
}

/// Evidence from one run of a plugin.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    pub(super) definition: &'a Definition,
    /// Names of all programs, with the exits of those that ended. Empty if none could be started.
    pub(super) programs: Vec<(String, Option<Exit>)>,
    pub(super) posts: Vec<ProgressPost>,
    pub(super) done: Option<Done>,
    /// Links, pipes and other special files in the results directory.
    pub(super) links: Vec<String>,
    /// Aggregator's reason for a missing result.
    pub(super) failure: Option<String>,
    /// Result tree.
    pub(super) tree: Option<Item>,
    /// Maximum size of an upload.
    pub(super) max_bytes: u64,
}

/// End of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) is_success: bool,
    /// Text such as `exit status: 1`.
    pub(super) text: String,
}

/// Checks all points.
pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Point> {
    let mut points = vec![done_file(evidence), names(evidence), size(evidence), format(evidence)];
    points.push(progress(&evidence.posts));
    points.push(exit(evidence));
    points.push(environment(evidence.definition));
    points
}

fn done_file(evidence: &Evidence<'_>) -> Point {
    let point = |outcome, detail: String| Point::new("done file", outcome, detail);
    match (&evidence.done, &evidence.failure) {
        (None, Some(failure)) => point(Outcome::Bad, format!("missing: {failure}")),
        (None, None) => point(Outcome::Bad, "missing".to_owned()),
        (Some(done), _) if !done.later.is_empty() => point(
            Outcome::Bad,
            format!(
                "written before the result was complete: {} changed later",
                done.later.join(", ")
            ),
        ),
        (Some(done), Some(failure)) => point(Outcome::Bad, format!("names {}: {failure}", done.names)),
        (Some(done), None) if done.by_worker => point(
            Outcome::Good,
            "missing, but all containers exited with 0: all files are the result".to_owned(),
        ),
        (Some(done), None) => point(Outcome::Good, format!("names {}, written last", done.names)),
    }
}

fn names(evidence: &Evidence<'_>) -> Point {
    let point = |outcome, detail: String| Point::new("names", outcome, detail);
    let Some(done) = &evidence.done else {
        return point(Outcome::Doubtful, "not checked: no result".to_owned());
    };
    if !done.is_inside {
        let detail = format!(
            "{} is outside the results directory, where the worker cannot read it",
            done.names
        );
        return point(Outcome::Bad, detail);
    }
    if let Some(refused) = &done.refused {
        return point(Outcome::Bad, format!("the archive is rejected: {refused}"));
    }
    let lost: Vec<&str> = evidence
        .links
        .iter()
        .chain(&done.left_out)
        .map(String::as_str)
        .collect();
    if lost.is_empty() {
        point(Outcome::Good, "all inside the results directory, no links".to_owned())
    } else {
        point(
            Outcome::Doubtful,
            format!("only files and directories are stored; lost: {}", lost.join(", ")),
        )
    }
}

fn size(evidence: &Evidence<'_>) -> Point {
    let limit = evidence.max_bytes;
    let sent = evidence.done.as_ref().and_then(|done| done.bytes);
    match sent {
        None => Point::new("size", Outcome::Doubtful, "unknown: nothing was sent"),
        Some(bytes) if bytes > limit => Point::new(
            "size",
            Outcome::Bad,
            format!("{} exceeds the limit of {}", HumanBytes(bytes), HumanBytes(limit)),
        ),
        Some(bytes) => Point::new(
            "size",
            Outcome::Good,
            format!("{} of at most {}", HumanBytes(bytes), HumanBytes(limit)),
        ),
    }
}

fn format(evidence: &Evidence<'_>) -> Point {
    let point = |outcome, detail: String| Point::new("format", outcome, detail);
    let Some(tree) = evidence.tree.as_ref().filter(|_| evidence.failure.is_none()) else {
        return point(Outcome::Doubtful, "not checked: no result".to_owned());
    };
    let format = name(evidence.definition.format());
    let leaves: Vec<&Item> = tree.leaves().into_iter().filter(|leaf| !is_container(leaf)).collect();
    let mut unreadable = Vec::new();
    faults(tree, &mut unreadable);
    if !unreadable.is_empty() {
        return point(
            Outcome::Bad,
            format!("cannot read as {format}: {}", unreadable.join("; ")),
        );
    }
    if leaves.is_empty() {
        let files = evidence.definition.result_files.as_slice();
        let expected = match (evidence.definition.format(), files) {
            (_, [_, ..]) => files.join(", "),
            (ResultFormat::Junit, _) => "*.xml".to_owned(),
            (ResultFormat::GoJson, _) => "*.json".to_owned(),
            (ResultFormat::Manual, _) => "*.yaml, *.yml".to_owned(),
            (ResultFormat::Raw, _) => "any file".to_owned(),
        };
        return point(Outcome::Bad, format!("no {format} file in the result ({expected})"));
    }
    let counts: Vec<String> = tree
        .status_counts()
        .iter()
        .map(|(status, count)| format!("{count} {status}"))
        .collect();
    point(Outcome::Good, format!("{format}, {}", counts.join(", ")))
}

/// Whether an item is a node or the plugin itself, which have no result of their own.
fn is_container(item: &Item) -> bool {
    item.meta
        .get("type")
        .is_some_and(|kind| kind == "summary" || kind == "node")
}

fn name(format: ResultFormat) -> &'static str {
    match format {
        ResultFormat::Raw => "raw",
        ResultFormat::Junit => "junit",
        ResultFormat::GoJson => "gojson",
        ResultFormat::Manual => "manual",
    }
}

fn faults(item: &Item, found: &mut Vec<String>) {
    if let Some(error) = item.meta.get("error") {
        found.push(format!("{}: {error}", item.name));
    }
    for item in &item.items {
        faults(item, found);
    }
}

fn progress(posts: &[ProgressPost]) -> Point {
    let point = |outcome, detail: String| Point::new("progress", outcome, detail);
    if posts.is_empty() {
        return point(Outcome::Good, "none posted".to_owned());
    }
    let shown = |post: &ProgressPost| -> String { String::from_utf8_lossy(&post.body).chars().take(80).collect() };
    if let Some(refused) = posts.iter().find(|post| post.status != 200) {
        let detail = format!("rejected with {}: {}", refused.status, shown(refused));
        return point(Outcome::Bad, detail);
    }
    let number = |post: &ProgressPost, key: &str| -> Option<i64> {
        serde_json::from_slice::<Value>(&post.body).ok()?.get(key)?.as_i64()
    };
    let too_many = |post: &&ProgressPost| {
        let (total, completed) = (number(post, "total"), number(post, "completed"));
        total
            .zip(completed)
            .is_some_and(|(total, completed)| total > 0 && completed > total)
    };
    if let Some(post) = posts.iter().find(too_many) {
        return point(Outcome::Doubtful, format!("completed exceeds total: {}", shown(post)));
    }
    point(Outcome::Good, format!("{} posted, all valid", posts.len()))
}

fn exit(evidence: &Evidence<'_>) -> Point {
    if evidence.programs.is_empty() {
        return Point::new("exit", Outcome::Doubtful, "not checked: no program was started");
    }
    let is_daemon_set = evidence.definition.driver == DriverKind::DaemonSet;
    let mut worst = Outcome::Good;
    let mut details = Vec::new();
    for (program, exit) in &evidence.programs {
        let (outcome, detail) = match exit {
            Some(exit) if !exit.is_success => (Outcome::Doubtful, format!("{program} ended with {}", exit.text)),
            Some(_) if is_daemon_set => (
                Outcome::Doubtful,
                format!("{program} ended; containers of a DaemonSet are restarted, so they should sleep instead"),
            ),
            Some(_) => (Outcome::Good, format!("{program} exited with 0")),
            None => (Outcome::Good, format!("{program} ran until the end of the test")),
        };
        worst = worst.max(outcome);
        details.push(detail);
    }
    if evidence.failure.is_some() && worst == Outcome::Doubtful {
        worst = Outcome::Bad;
    }
    Point::new("exit", worst, details.join("; "))
}

/// Checks for hard-coded paths. The results directory is configurable.
fn environment(definition: &Definition) -> Point {
    let mut texts = Vec::new();
    collect(&definition.spec, &mut texts);
    if let Some(pod_spec) = &definition.pod_spec {
        collect(pod_spec, &mut texts);
    }
    texts.extend(definition.config_map.values().map(String::as_str));
    let fixed = [
        constants::RESULTS_DIR,
        constants::LEGACY_RESULTS_DIR,
        constants::PLUGIN_CONFIG_DIR,
    ];
    let found: Vec<&str> = fixed
        .into_iter()
        .filter(|path| texts.iter().any(|text| text.contains(path)))
        .collect();
    if found.is_empty() {
        return Point::new("environment", Outcome::Good, "no hard-coded paths of the run");
    }
    let detail = format!(
        "{} is hard-coded; use {} and {} instead",
        found.join(", "),
        env::SONOBUOY_RESULTS_DIR,
        env::SONOBUOY_CONFIG_DIR
    );
    Point::new("environment", Outcome::Doubtful, detail)
}

/// Texts of a container or pod, except volume mounts.
fn collect<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(list) => list.iter().for_each(|value| collect(value, texts)),
        Value::Object(fields) => {
            for (key, value) in fields {
                if key != "volumeMounts" {
                    collect(value, texts);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Summary of the plugin's results, which are not part of the contract.
pub(super) fn findings(tree: &Item) -> String {
    let summary = summarize(tree);
    format!(
        "{}: {} passed, {} failed, {} skipped",
        tree.status, summary.passed, summary.failed, summary.skipped
    )
}

/// Verdict of the checks.
pub(super) fn verdict(points: &[Point]) -> &'static str {
    match points.iter().map(|point| point.outcome).max() {
        Some(Outcome::Bad) => item::status::FAILED,
        _ => item::status::PASSED,
    }
}

#[cfg(test)]
mod tests;
