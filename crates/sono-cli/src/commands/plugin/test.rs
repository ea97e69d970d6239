//! `sono plugin test`: runs a plugin on this machine and checks it against the plugin contract.

use std::{
    path::Path,
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use serde_json::{Value, json};
use sono_local::{
    FinishedRun, LocalError, Observer, Options, ProgramExit, ProgressPost, RunError, RunLog, system_clock,
};
use sono_manifest::{Definition, Problem, Severity};
use sono_types::{Config, RunStatus, UploadLimits, exit};
use tokio::sync::{mpsc, watch};

use super::{
    contract::{self, Evidence, Exit, Outcome, Point},
    evidence, lint,
};
use crate::{
    args::{self, PluginOutput},
    error::CliError,
    output::{Format, Printer, Text, Tone, text},
    plugins::{self, ResolvedPlugin, fetch::Access},
    signals::termination,
};

/// Time for a program to end by itself after writing its done file. In a cluster, the worker may take five seconds.
const DONE_DELAY: Duration = Duration::from_secs(1);
/// Number of last output lines shown of a program after a failure.
const LAST_LINES: usize = 10;

pub(super) async fn test(arguments: args::PluginTest, as_sonobuoy: bool, printer: &Printer) -> Result<u8, CliError> {
    let args::PluginTest {
        file,
        addresses,
        timeout,
        output,
    } = arguments;
    let access = Access::new(&addresses, as_sonobuoy);
    let (documents, rename) = match access.check(plugins::find(&file, access, printer).await?)? {
        ResolvedPlugin::Documents { documents, rename } => (documents, rename),
        ResolvedPlugin::BuiltIn(name) => {
            return Err(CliError::new(format!(
                "`{name}` is a built-in plugin, which sono's own tests cover"
            )));
        }
    };
    let [document] = documents.as_slice() else {
        return Err(CliError::new(format!(
            "only one plugin can be tested at a time, but `{file}` has {}",
            documents.len()
        )));
    };
    let (definition, problems) = sono_manifest::lint(&document.file, &document.text);
    let definition = definition.map(|definition| plugins::renamed(definition, rename.as_ref()));
    let mut report = Report {
        plugin: definition
            .as_ref()
            .map_or_else(|| document.file.clone(), |found| found.name.to_string()),
        points: vec![definition_point(&problems)],
        problems,
        findings: None,
        last_output: Vec::new(),
    };
    if let Some(definition) = definition {
        run(definition, timeout, &mut report).await?;
    }
    report.print(output, printer)?;
    Ok(match contract::verdict(&report.points) {
        "failed" => exit::FAILURE,
        _ => exit::SUCCESS,
    })
}

fn definition_point(problems: &[Problem]) -> Point {
    let errors = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .count();
    let (outcome, detail) = match (errors, problems.len()) {
        (0, 0) => (Outcome::Good, "no problems".to_owned()),
        (0, warnings) => (Outcome::Doubtful, format!("warnings: {warnings}")),
        (errors, _) => (Outcome::Bad, format!("errors: {errors}")),
    };
    Point::new("definition", outcome, detail)
}

/// Report of a test.
struct Report {
    plugin: String,
    points: Vec<Point>,
    problems: Vec<Problem>,
    findings: Option<String>,
    /// Last output of programs.
    last_output: Vec<(String, String)>,
}

impl Report {
    fn print(&self, output: PluginOutput, printer: &Printer) -> Result<(), CliError> {
        let Self {
            plugin,
            points,
            problems,
            findings,
            last_output,
        } = self;
        let verdict = contract::verdict(points);
        if output == PluginOutput::Json {
            let points: Vec<Value> = points.iter().map(Point::to_json).collect();
            let problems: Vec<Value> = problems.iter().map(lint::value).collect();
            let value = json!({
                "plugin": plugin, "verdict": verdict, "points": points, "problems": problems, "results": findings,
            });
            return printer.document(Format::Json, &format!("{value:#}\n"));
        }
        for problem in problems {
            printer.note(&problem.to_string());
        }
        for Point { name, outcome, detail } in points {
            printer.line(&format!("{:<5} {name:<12} {detail}", outcome.word()))?;
        }
        if verdict == "failed" {
            for (program, last_output) in last_output {
                printer.note(&text![
                    Text::own("\n"),
                    program,
                    Text::own(": last output:\n"),
                    Text::block(last_output)
                ]);
            }
        }
        let tone = if verdict == "failed" { Tone::Bad } else { Tone::Good };
        let found = findings
            .as_ref()
            .map(|findings| format!("; its own results: {findings}"));
        printer.note(&text![
            tone.paint(format!("plugin {plugin} {verdict} the test")),
            found.unwrap_or_default()
        ]);
        Ok(())
    }
}

async fn run(definition: Definition, timeout: Duration, report: &mut Report) -> Result<(), CliError> {
    let failed = |error: &(dyn std::error::Error + 'static)| CliError::new("the test failed").caused_by(error);
    let directory = tempfile::Builder::new()
        .prefix("sono-test-")
        .tempdir()
        .map_err(|error| failed(&error))?;
    let (posts, mut posted) = mpsc::unbounded_channel::<ProgressPost>();
    let (exits, mut exited) = mpsc::unbounded_channel::<ProgramExit>();
    let mut config = Config::default();
    config.server.timeout_seconds = timeout.as_secs();
    let options = Options {
        definitions: vec![definition.clone()],
        config,
        output: directory.path().to_owned(),
        statuses: watch::channel(RunStatus::default()).0,
        log: RunLog::new(system_clock()),
        clock: system_clock(),
        observer: Some(Observer {
            directory: directory.path().join("plugins"),
            posts,
            exits,
            done_delay: DONE_DELAY,
        }),
    };
    let stopped_by = AtomicU8::new(exit::INTERRUPTED);
    let interrupted = async {
        match termination().await {
            Ok(code) => stopped_by.store(code, Ordering::Relaxed),
            // If signals cannot be caught, the process ends without cleanup.
            Err(_) => std::future::pending::<()>().await,
        }
    };
    let FinishedRun { archive, status, .. } = match sono_local::run(options, interrupted).await {
        Ok(finished) => finished,
        Err(LocalError::Unsupported(reasons)) => {
            let detail = format!("requires a cluster: {}", reasons.join("; "));
            report.points.push(Point::new("start", Outcome::Bad, detail));
            return Ok(());
        }
        Err(LocalError::Run(RunError::Stopped)) => {
            return Err(CliError::new("interrupted: all plugin processes were stopped")
                .exit_with(stopped_by.load(Ordering::Relaxed)));
        }
        Err(error) => return Err(failed(&error)),
    };
    let own = directory.path().join("plugins").join(definition.name.as_str());
    let limits = UploadLimits::default();
    let (tree, failure) = evidence::of_archive(&archive, &definition.name, &status)?;
    let results = own.join("results");
    let names = programs(&definition);
    let mut programs: Vec<(String, Option<Exit>)> = names.into_iter().map(|name| (name, None)).collect();
    while let Ok(ended) = exited.try_recv() {
        let exit = Exit {
            is_success: ended.status.success(),
            text: ended.status.to_string(),
        };
        if let Some((_, slot)) = programs.iter_mut().find(|(name, _)| *name == ended.program) {
            *slot = Some(exit);
        }
    }
    let not_started = failure
        .as_deref()
        .and_then(|text| text.split_once(sono_local::NOT_STARTED));
    let not_started = not_started.filter(|_| programs.iter().all(|(_, exit)| exit.is_none()));
    if not_started.is_some() {
        programs.clear();
    }
    report
        .points
        .push(start(&definition, not_started.map(|(_, what)| what)));
    report.findings = tree.as_ref().filter(|_| failure.is_none()).map(contract::findings);
    report.last_output = programs.iter().filter_map(|(name, _)| last_lines(&own, name)).collect();
    let evidence = Evidence {
        definition: &definition,
        programs,
        posts: std::iter::from_fn(|| posted.try_recv().ok()).collect(),
        done: evidence::done(&results, &limits).map_err(|error| failed(&error))?,
        links: evidence::links(&results).map_err(|error| failed(&error))?,
        failure,
        tree,
        max_bytes: limits.max_body_bytes,
    };
    report.points.extend(contract::judge(&evidence));
    Ok(())
}

/// Containers of a plugin, the main one last as in the pod.
fn containers(definition: &Definition) -> impl Iterator<Item = &Value> {
    let others = definition
        .pod_spec
        .as_ref()
        .and_then(|pod| pod.get("containers")?.as_array());
    others.into_iter().flatten().chain([&definition.spec])
}

fn programs(definition: &Definition) -> Vec<String> {
    let name = |container: &Value| {
        container
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or("plugin")
            .to_owned()
    };
    containers(definition).map(name).collect()
}

fn start(definition: &Definition, failure: Option<&str>) -> Point {
    if let Some(failure) = failure {
        return Point::new("start", Outcome::Bad, failure.to_owned());
    }
    let images: Vec<&str> = containers(definition)
        .filter_map(|container| container.get("image")?.as_str())
        .collect();
    let detail = if images.is_empty() {
        "with the programs on this machine".to_owned()
    } else {
        format!(
            "with the programs on this machine; images not used: {}",
            images.join(", ")
        )
    };
    Point::new("start", Outcome::Good, detail)
}

fn last_lines(own: &Path, program: &str) -> Option<(String, String)> {
    let bytes = fs_err::read(own.join("logs").join(format!("{program}.txt"))).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    (!last.is_empty()).then(|| (program.to_owned(), last.join("\n")))
}
