//! The judge that requires what a careful reviewer requires: the bot's rules without their oddities, and the rules of CNCF's
//! `reviewing.md` and `instructions.md` that a program can check.

mod product;
mod readme;
mod results;

use std::collections::BTreeSet;

pub use product::check_product;
pub use readme::DRAFT;

use crate::{
    bot,
    judgement::{Findings, Judgement, Mode, Verdict},
    log::LogFacts,
    minor::Minor,
    required::RequiredTests,
    rules,
    submission::{FILES, JUNIT, LOG, PRODUCT, README, Submission},
};

const COPY_ARCHIVE: &str = "write the folder with: sono conformance submit ARCHIVE";
const PREFIX: &str = "conformance results for ";
const PRINTED_TITLE: &str = "use the title that `sono conformance submit` prints";

/// Judges a submission as a careful reviewer does. `latest` is the newest released version of Kubernetes.
///
/// A rule that the bot finds violated is violated here too.
pub(crate) fn judge(submission: &Submission, required: &RequiredTests, latest: Minor) -> Judgement {
    let bot = bot::judge(submission, required, latest);
    let mut findings = Findings::default();
    let folder = folder(submission);
    let minor = submission
        .results_of
        .or_else(|| folder.as_ref().map(|(minor, _)| *minor));
    if submission.results_of.is_some() {
        let message = "an archive is not a submission folder";
        for rule in [rules::FILES_PRESENT, rules::PRODUCT_FIELDS, rules::TITLE, rules::README] {
            findings.add(rule, Verdict::NotChecked, "archive", message);
        }
    } else {
        files(submission, &mut findings);
        folders(submission, folder.as_ref(), &mut findings);
        title(submission, folder.as_ref(), &mut findings);
        product::check(submission.contents(PRODUCT), &mut findings);
        commits(submission, &mut findings);
    }
    release(minor, latest, &mut findings);
    let names = minor.and_then(|minor| required.of(minor));
    let missing = results::check(submission.contents(JUNIT), names, &mut findings);
    let log = submission.contents(LOG).map(LogFacts::read);
    results::check_log(log.as_ref(), submission.contents(JUNIT), names, minor, &mut findings);
    if submission.results_of.is_none() {
        readme::check(submission.contents(README), log.as_ref(), &mut findings);
    }
    for finding in bot.findings {
        if finding.verdict == Verdict::Failed && !findings.has_failed(finding.rule) {
            findings.0.push(finding);
        }
    }
    Judgement {
        mode: Mode::Strict,
        state: findings.state(),
        version: minor.map(|minor| minor.to_string()).or(bot.version),
        labels: Vec::new(),
        findings: findings.0,
        required: names.map(BTreeSet::len),
        missing,
    }
}

/// Version and product, if the first file is in a folder of exactly that form.
fn folder(submission: &Submission) -> Option<(Minor, String)> {
    let folder = submission.files.first()?.folder();
    parse_folder(&folder)
}

fn parse_folder(folder: &str) -> Option<(Minor, String)> {
    let (version, product) = folder.split_once('/')?;
    let minor: Minor = version.parse().ok()?;
    (minor.to_string() == version && is_product_name(product)).then(|| (minor, product.to_owned()))
}

/// Whether text can name the folder of a product: one part of a path, without white space or control characters.
pub fn is_product_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && !text.starts_with(['.', '-'])
        && text
            .chars()
            .all(|letter| letter.is_alphanumeric() || "._-+".contains(letter))
}

fn files(submission: &Submission, findings: &mut Findings) {
    for name in FILES {
        let mut found = submission.files.iter().filter(|file| file.base() == name);
        match (found.next(), found.next()) {
            (None, _) => findings.fail(rules::FILES_PRESENT, name, "the file is missing", COPY_ARCHIVE),
            (Some(file), None) if file.contents.trim_ascii().is_empty() => {
                findings.fail(rules::FILES_PRESENT, name, "the file is empty", COPY_ARCHIVE);
            }
            (Some(_), None) => {}
            (Some(_), Some(other)) => {
                findings.fail(
                    rules::FILES_ONLY,
                    &other.path,
                    "the file exists twice",
                    "remove one of the files",
                );
            }
        }
    }
    findings.pass_unless_found(rules::FILES_PRESENT, "files", "all files exist");
    for file in &submission.files {
        if !FILES.contains(&file.base()) {
            let hint = "remove the file, or correct the case of its name";
            findings.fail(
                rules::FILES_ONLY,
                &file.path,
                "the file is not part of a submission",
                hint,
            );
        }
    }
    findings.pass_unless_found(rules::FILES_ONLY, "files", "no other file exists");
}

fn folders(submission: &Submission, folder: Option<&(Minor, String)>, findings: &mut Findings) {
    let folders: BTreeSet<String> = submission.files.iter().map(crate::SubmittedFile::folder).collect();
    for found in folders.iter().filter(|found| parse_folder(found).is_none()) {
        let hint = "name the folder vX.Y/PRODUCT, at the top of the repository";
        findings.fail(rules::FOLDER, found, "the folder is not vX.Y/PRODUCT", hint);
    }
    if let Some((minor, product)) = folder {
        findings.pass_unless_found(rules::FOLDER, "folder", format!("the folder is {minor}/{product}"));
    }
    if folders.len() == 1 {
        findings.add(
            rules::ONE_PRODUCT,
            Verdict::Passed,
            "folder",
            "all files are in one folder",
        );
    } else {
        let hint = "submit each product and version in its own pull request";
        findings.fail(rules::ONE_PRODUCT, "folder", format!("{} folders", folders.len()), hint);
    }
}

fn title(submission: &Submission, folder: Option<&(Minor, String)>, findings: &mut Findings) {
    let Some(title) = submission.title.as_deref() else {
        findings.add(
            rules::TITLE,
            Verdict::NotChecked,
            "title",
            "no title given: use --title",
        );
        return;
    };
    let start = title
        .get(..PREFIX.len())
        .filter(|start| start.eq_ignore_ascii_case(PREFIX));
    let rest = start
        .and_then(|_| title.get(PREFIX.len()..))
        .and_then(|rest| rest.split_once(['/', ' ']));
    let parsed = rest.and_then(|(version, product)| {
        let minor: Minor = version.parse().ok()?;
        (minor.to_string() == version && !product.trim().is_empty()).then_some(minor)
    });
    let Some(minor) = parsed else {
        let message = "the title is not `Conformance results for vX.Y/PRODUCT`";
        findings.fail(rules::TITLE_FORMAT, "title", message, PRINTED_TITLE);
        return;
    };
    findings.add(
        rules::TITLE_FORMAT,
        Verdict::Passed,
        "title",
        "the title has a version and a product",
    );
    match folder {
        Some((expected, _)) if *expected == minor => {
            findings.add(
                rules::TITLE_VERSION,
                Verdict::Passed,
                "title",
                "the title has the version of the folder",
            );
        }
        Some((expected, _)) => {
            let message = format!("the version in the title (`{minor}`) and the folder (`{expected}`) differ");
            findings.fail(rules::TITLE_VERSION, "title", message, PRINTED_TITLE);
        }
        None => {}
    }
}

fn release(minor: Option<Minor>, latest: Minor, findings: &mut Findings) {
    let Some(minor) = minor else {
        let hint = "name the folder vX.Y/PRODUCT, at the top of the repository";
        findings.fail(
            rules::RELEASE,
            "folder",
            "the name of the folder does not contain a version",
            hint,
        );
        return;
    };
    let oldest = Minor::of(latest.minor.saturating_sub(bot::SUPPORTED_BEFORE_LATEST));
    if (oldest..=latest).contains(&minor) {
        findings.add(
            rules::RELEASE,
            Verdict::Passed,
            "folder",
            format!("{minor} is supported"),
        );
    } else {
        let message = format!("{minor} is not supported: {oldest} to {latest} are");
        findings.fail(
            rules::RELEASE,
            "folder",
            message,
            "test a supported version of Kubernetes",
        );
    }
}

fn commits(submission: &Submission, findings: &mut Findings) {
    match submission.commits {
        None => {
            let message = "the pull request does not exist yet: use one commit";
            findings.add(rules::ONE_COMMIT, Verdict::NotChecked, "commits", message);
        }
        Some(1) => findings.add(rules::ONE_COMMIT, Verdict::Passed, "commits", "one commit"),
        Some(count) => {
            let message = format!("{count} commits instead of one");
            findings.fail(
                rules::ONE_COMMIT,
                "commits",
                message,
                "squash the commits with: git rebase -i",
            );
        }
    }
}
