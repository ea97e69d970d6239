//! The judge that equals CNCF's bot, `kubernetes-sigs/verify-conformance`.
//!
//! The bot runs fifteen scenarios. In each, the first failed step ends the scenario. Steps that need GitHub or the network are not
//! checked unless the submission has the facts.

mod product;
mod tests_of_suite;

use std::collections::BTreeSet;

use crate::{
    judgement::{Finding, Findings, Judgement, Mode, State, Verdict},
    minor::Minor,
    product::Product,
    required::RequiredTests,
    rules,
    submission::{self, FILES, PRODUCT, Submission},
};

/// Minor versions before the latest one that the bot accepts.
pub(crate) const SUPPORTED_BEFORE_LATEST: u32 = 2;

const SUBMISSION_LABEL: &str = "conformance-product-submission";
const COPY_ARCHIVE: &str = "write the folder with: sono conformance submit ARCHIVE";
const NOT_FINITE: &str = "a value is a number that is not finite, which the bot cannot read";
const IN_QUOTES: &str = "write the value as text in quotes";
const FILL_IN: &str = "write the file with: sono conformance product init";

/// Judges a submission as the bot does. `latest` is the newest released version of Kubernetes.
pub(crate) fn judge(submission: &Submission, required: &RequiredTests, latest: Minor) -> Judgement {
    if let Some(minor) = submission.results_of {
        return results_only(submission, required, minor);
    }
    if submission
        .title
        .as_deref()
        .is_some_and(|title| !submission::is_submission_title(title))
    {
        let labels = ["not-conformance-product-submission", "unable-to-process"];
        let reason = "the title does not include \"conformance results for\": the bot checks nothing";
        return pending(None, &labels, rules::TITLE, "title", reason);
    }
    let found = submission.version_and_product();
    let version = found.map(|(version, _)| version).unwrap_or_default();
    let (minor, names) = match list(&version, required, latest) {
        Ok(found) => found,
        Err(reason) => {
            let labels = [SUBMISSION_LABEL, "unable-to-process"];
            return pending(Some(version), &labels, rules::RELEASE, "folder", &reason);
        }
    };
    let mut judge = Judge {
        submission,
        version: version.clone(),
        labels: vec![SUBMISSION_LABEL.to_owned()],
        findings: Findings::default(),
        missing: Vec::new(),
    };
    judge.title();
    judge.files();
    judge.folders();
    judge.title_version();
    judge.product();
    judge.title_format();
    judge.findings.add(
        rules::RELEASE,
        Verdict::Passed,
        "folder",
        format!("{minor} is supported"),
    );
    judge.tests(names);
    judge.commits();
    judge.finish(names)
}

/// The version and its required tests, or the reason why the bot does not process the submission.
fn list<'a>(
    version: &str,
    required: &'a RequiredTests,
    latest: Minor,
) -> Result<(Minor, &'a BTreeSet<String>), String> {
    if version.is_empty() {
        return Err("no path has the form vX.Y/PRODUCT/FILE".to_owned());
    }
    // The bot's pattern accepts any character between major and minor version; its parser then refuses most of them.
    let minor: Minor = version
        .parse()
        .map_err(|_| format!("`{version}` is not a version of Kubernetes"))?;
    if minor.minor.saturating_add(SUPPORTED_BEFORE_LATEST) < latest.minor {
        return Err(format!(
            "{version} is older than the oldest supported version {}",
            Minor::of(latest.minor.saturating_sub(SUPPORTED_BEFORE_LATEST))
        ));
    }
    let names = required
        .of(minor)
        .ok_or_else(|| format!("the list of required tests of {version} is unknown"))?;
    Ok((minor, names))
}

fn pending(version: Option<String>, labels: &[&str], rule: &'static str, place: &str, reason: &str) -> Judgement {
    Judgement {
        mode: Mode::Bot,
        state: State::Pending,
        version: version.filter(|version| !version.is_empty()),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        findings: vec![Finding {
            rule,
            verdict: Verdict::Failed,
            place: place.to_owned(),
            message: reason.to_owned(),
            hint: Some(
                "use a folder vX.Y/PRODUCT of a supported version, and the title that `sono conformance submit` prints",
            ),
        }],
        required: None,
        missing: Vec::new(),
    }
}

/// Judges results that are not in a folder of a product: only the scenarios about tests apply.
fn results_only(submission: &Submission, required: &RequiredTests, minor: Minor) -> Judgement {
    let Some(names) = required.of(minor) else {
        let reason = format!("the list of required tests of {minor} is unknown");
        return pending(Some(minor.to_string()), &[], rules::RELEASE, "results", &reason);
    };
    let mut judge = Judge {
        submission,
        version: minor.to_string(),
        labels: Vec::new(),
        findings: Findings::default(),
        missing: Vec::new(),
    };
    judge.tests(names);
    for rule in [rules::FILES_PRESENT, rules::PRODUCT_FIELDS, rules::TITLE] {
        judge.findings.add(
            rule,
            Verdict::NotChecked,
            "archive",
            "an archive is not a submission folder",
        );
    }
    Judgement {
        mode: Mode::Bot,
        state: judge.findings.state(),
        version: Some(judge.version),
        labels: Vec::new(),
        findings: judge.findings.0,
        required: Some(names.len()),
        missing: judge.missing,
    }
}

struct Judge<'a> {
    submission: &'a Submission,
    version: String,
    labels: Vec<String>,
    findings: Findings,
    missing: Vec<String>,
}

impl Judge<'_> {
    fn title(&mut self) {
        match self.submission.title.as_deref() {
            None => self.findings.add(
                rules::TITLE,
                Verdict::NotChecked,
                "title",
                "no title given: use --title",
            ),
            Some(_) => self
                .findings
                .add(rules::TITLE, Verdict::Passed, "title", "the title is not empty"),
        }
    }

    fn files(&mut self) {
        for name in FILES {
            let Some(contents) = self.submission.contents(name) else {
                self.labels.push(format!("missing-file-{name}"));
                self.findings
                    .fail(rules::FILES_PRESENT, name, "the file is missing", COPY_ARCHIVE);
                continue;
            };
            if contents.is_empty() {
                self.findings
                    .fail(rules::FILES_PRESENT, name, "the file is empty", COPY_ARCHIVE);
                continue;
            }
            if name != PRODUCT {
                continue;
            }
            match Product::read(contents) {
                Ok(product) if product.is_not_finite() => {
                    self.findings.fail(rules::FILES_PRESENT, name, NOT_FINITE, IN_QUOTES);
                }
                Ok(_) => {}
                Err(error) => {
                    let message = format!("cannot read the file: {error}");
                    self.findings.fail(rules::FILES_PRESENT, name, message, FILL_IN);
                }
            }
        }
        self.findings
            .pass_unless_found(rules::FILES_PRESENT, "files", "all files exist");
        for file in &self.submission.files {
            if !FILES.contains(&file.base()) {
                let hint = "remove the file, or correct the case of its name";
                self.findings.fail(
                    rules::FILES_ONLY,
                    &file.path,
                    "the file is not part of a submission",
                    hint,
                );
            }
        }
        self.findings
            .pass_unless_found(rules::FILES_ONLY, "files", "no other file exists");
    }

    fn folders(&mut self) {
        let mut folders = BTreeSet::new();
        for file in &self.submission.files {
            let folder = file.folder();
            if !submission::is_product_folder(&folder) {
                let hint = "move the file to vX.Y/PRODUCT";
                self.findings
                    .fail(rules::FOLDER, &file.path, "the folder is not vX.Y/PRODUCT", hint);
            }
            folders.insert(folder);
        }
        self.findings
            .pass_unless_found(rules::FOLDER, "folder", "the folder is vX.Y/PRODUCT");
        if folders.len() > 1 {
            let names = folders.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            let hint = "submit each product and version in its own pull request";
            self.findings.fail(
                rules::ONE_PRODUCT,
                "folder",
                format!("{} folders: {names}", folders.len()),
                hint,
            );
        }
        self.findings
            .pass_unless_found(rules::ONE_PRODUCT, "folder", "all files are in one folder");
    }

    fn title_version(&mut self) {
        let Some(title) = self.submission.title.as_deref() else {
            self.findings.add(
                rules::TITLE_VERSION,
                Verdict::NotChecked,
                "title",
                "no title given: use --title",
            );
            return;
        };
        let titled = submission::version_in_title(title).unwrap_or_default();
        if titled == self.version {
            self.findings.add(
                rules::TITLE_VERSION,
                Verdict::Passed,
                "title",
                "the title has the version of the folder",
            );
        } else {
            let message = format!(
                "the version in the title (`{titled}`) and the folder (`{}`) differ",
                self.version
            );
            let hint = "use the title that `sono conformance submit` prints";
            self.findings.fail(rules::TITLE_VERSION, "title", message, hint);
        }
    }

    fn title_format(&mut self) {
        let Some(title) = self.submission.title.as_deref() else {
            self.findings.add(
                rules::TITLE_FORMAT,
                Verdict::NotChecked,
                "title",
                "no title given: use --title",
            );
            return;
        };
        if submission::version_in_title(title).is_some() {
            self.findings.add(
                rules::TITLE_FORMAT,
                Verdict::Passed,
                "title",
                "the title has a version and a product",
            );
        } else {
            let hint = "use the title that `sono conformance submit` prints";
            self.findings.fail(
                rules::TITLE_FORMAT,
                "title",
                "the title does not contain a version and a product",
                hint,
            );
        }
    }

    fn commits(&mut self) {
        match self.submission.commits {
            None => {
                let message = "the pull request does not exist yet: use one commit";
                self.findings
                    .add(rules::ONE_COMMIT, Verdict::NotChecked, "commits", message);
            }
            Some(1) => self
                .findings
                .add(rules::ONE_COMMIT, Verdict::Passed, "commits", "one commit"),
            Some(count) => {
                let message = format!("{count} commits instead of one");
                self.findings.fail(
                    rules::ONE_COMMIT,
                    "commits",
                    message,
                    "squash the commits with: git rebase -i",
                );
            }
        }
    }

    fn finish(mut self, names: &BTreeSet<String>) -> Judgement {
        self.labels.push(format!("release-{}", self.version));
        let state = self.findings.state();
        self.labels.push(match state {
            State::Success => "release-documents-checked".to_owned(),
            State::Failure | State::Pending => "not-verifiable".to_owned(),
        });
        Judgement {
            mode: Mode::Bot,
            state,
            version: Some(self.version),
            labels: self.labels,
            findings: self.findings.0,
            required: Some(names.len()),
            missing: self.missing,
        }
    }
}
