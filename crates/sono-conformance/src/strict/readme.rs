//! README.md in strict mode: the steps that reproduce the run, not only a link to them.

use crate::{judgement::Findings, log::LogFacts, rules, submission::README};

/// Start of the line with which sono marks the README of a draft.
pub const DRAFT: &str = "> **Draft:**";

/// First words of commands that a README of a submission contains.
const COMMANDS: [&str; 8] = ["sono", "sonobuoy", "hydrophone", "kubectl", "$", "curl", "go", "./"];
/// Maximum number of bytes of a README that are searched.
const MAX_BYTES: usize = 4 << 20;

pub(super) fn check(contents: Option<&[u8]>, log: Option<&LogFacts>, findings: &mut Findings) {
    let Some(contents) = contents else {
        return;
    };
    let text = String::from_utf8_lossy(contents.get(..MAX_BYTES).unwrap_or(contents));
    if text.lines().any(|line| line.starts_with(DRAFT)) {
        let hint = "remove the reasons that the draft lists, then write the folder again without --draft";
        findings.fail(rules::README, README, "the README is that of a draft", hint);
    }
    if !text.lines().any(is_command) {
        let hint = "list the commands that install the product and run the tests; `sono conformance submit` writes those of the run";
        findings.fail(rules::README, README, "the README has no commands", hint);
    }
    let ran = LogFacts::read(text.as_bytes()).ran;
    if let (Some(pasted), Some(actual)) = (ran, log.and_then(|log| log.ran))
        && pasted != actual
    {
        let message = format!("the README quotes a run of {pasted} tests; e2e.log has {actual}");
        findings.fail(rules::README, README, message, "quote the log of this run");
    }
    findings.pass_unless_found(rules::README, README, "the README has the commands of the run");
}

fn is_command(line: &str) -> bool {
    let line = line.trim_start().trim_start_matches(['`', '>', '*', '-', ' ']);
    let Some(word) = line.split_whitespace().next() else {
        return false;
    };
    let arguments = line.split_whitespace().nth(1).is_some();
    arguments
        && COMMANDS
            .iter()
            .any(|command| word == *command || (*command == "./" && word.starts_with("./")))
}
