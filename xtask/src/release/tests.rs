//! Tests with temporary repositories.

use super::{facts::git, *};

const LOCK: &str = "version = 4\n\n[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n";
const WORKFLOW: &str = "cargo xtask dist --out a --image-registry \"$REGISTRY\"\npublisher/sono-publish push --out images --to \"$REGISTRY\"\n";

struct Repository(tempfile::TempDir);

impl Repository {
    /// A repository at 0.1.0 with unreleased changes.
    fn new() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        repository.git(&["init", "--quiet", "--initial-branch", "main"]);
        repository.git(&["config", "user.name", "a"]);
        repository.git(&["config", "user.email", "a@b"]);
        repository.write("Cargo.toml", "[workspace.package]\nversion = \"0.1.0\"\n");
        repository.write("Cargo.lock", LOCK);
        repository.write("CHANGELOG.md", "# Changelog\n\n## Unreleased\n\n- new\n");
        repository.write("deploy/krew/sono.yaml", &crate::r#gen::krew_manifest("0.1.0"));
        repository.write(workflow::PATH, WORKFLOW);
        repository.commit("all");
        repository
    }

    fn git(&self, arguments: &[&str]) -> String {
        git(self.0.path(), arguments).unwrap()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "-m", message]);
    }

    fn pass_ci(&self, suites: &str) {
        let head = self.git(&["rev-parse", "HEAD"]);
        self.write(&format!(".git/sono-ci-passed/{head}"), suites);
    }

    /// The printed lines, and whether the call succeeded.
    fn release(&self, version: &str, is_dry: bool, gh: Option<&Path>) -> (Vec<String>, bool) {
        let mut printed = Vec::new();
        let result = release(self.0.path(), &version.parse().unwrap(), gh, is_dry, &mut |line| {
            printed.push(line);
        });
        (printed, result.is_ok())
    }

    /// The lines marked NO for the release of 0.2.0.
    fn refusals(&self) -> Vec<String> {
        let (printed, succeeded) = self.release("0.2.0", true, None);
        let refusals: Vec<String> = printed.into_iter().filter(|line| line.starts_with("NO")).collect();
        assert_eq!(refusals.is_empty(), succeeded);
        refusals
    }
}

#[test]
fn release_commits_then_tags_tested_commit() {
    let repository = Repository::new();
    let (printed, succeeded) = repository.release("0.2.0", false, None);
    assert_eq!(
        (printed.join("\n").as_str(), succeeded),
        (
            "ok  branch: main\n\
             ok  tree: clean\n\
             ok  images: the program uses the images that the release's workflow pushes\n\
             ok  version: the workspace changes from 0.1.0 to 0.2.0\n\
             ok  changelog: unreleased changes become 0.2.0\n\
             write the version into Cargo.toml, Cargo.lock, CHANGELOG.md, deploy/krew/sono.yaml\n\
             commit these files\n\
             next: git push; when CI has passed on that commit, run cargo xtask release 0.2.0 again",
            true
        )
    );
    assert_eq!(
        repository
            .git(&["log", "-1", "--format=%s", "--name-only"])
            .lines()
            .count(),
        2 + 4
    );
    assert_eq!(
        repository.git(&["show", "HEAD:Cargo.toml"]),
        "[workspace.package]\nversion = \"0.2.0\""
    );
    assert_eq!(repository.git(&["status", "--porcelain"]), "");

    let without = ".ci/run has not passed on this commit on this machine; the workflow was not checked (requires the program gh and GH_TOKEN)";
    assert_eq!(repository.refusals(), [format!("NO  CI: {without}")]);
    repository.pass_ci("tests without a cluster\n");
    let refused = repository.refusals();
    assert_eq!(refused.len(), 1);
    assert!(refused[0].contains("but without the tests on a cluster"), "{refused:?}");

    repository.pass_ci("tests without a cluster\ntests on a real cluster\n");
    let (printed, succeeded) = repository.release("0.2.0", false, None);
    let expected = [
        "ok  versions agree: the workspace, the lock file and krew's manifest",
        "ok  CI: .ci/run passed on this commit on this machine, with tests without a cluster, tests on a real cluster",
        "ok  tag: v0.2.0 does not exist yet",
        "tag the commit, with the changelog's section as message",
        "next: git push origin main v0.2.0; this starts the workflow `release`, see RELEASING.md",
    ];
    assert_eq!((&printed[5..], succeeded), (&expected.map(ToOwned::to_owned)[..], true));
    assert_eq!(
        repository.git(&["tag", "--list", "--format=%(contents)", "v0.2.0"]),
        "v0.2.0\n\n- new"
    );

    let (printed, succeeded) = repository.release("0.2.0", false, None);
    assert!(succeeded);
    assert_eq!(printed[7], "ok  tag: v0.2.0 already names this commit");
    assert!(
        printed[8].starts_with("next: git push origin main v0.2.0"),
        "{printed:?}"
    );
}

#[test]
fn dry_run_changes_nothing() {
    let repository = Repository::new();
    let before = repository.git(&["rev-parse", "HEAD"]);
    let (printed, succeeded) = repository.release("0.2.0", true, None);
    assert!(succeeded);
    let would: Vec<&String> = printed.iter().filter(|line| line.starts_with("would ")).collect();
    assert_eq!(would.len(), 2, "{printed:?}");
    assert_eq!(repository.git(&["status", "--porcelain"]), "");
    assert_eq!(repository.git(&["rev-parse", "HEAD"]), before);
}

/// After an interruption at any file the next call continues.
#[test]
fn interrupted_release_continues() {
    let version: Version = "0.2.0".parse().unwrap();
    for written in 1..=bump::PATHS.len() {
        let repository = Repository::new();
        for file in bump::files(repository.0.path(), &version)
            .unwrap()
            .into_iter()
            .take(written)
        {
            repository.write(file.path, &file.after);
        }
        let (printed, succeeded) = repository.release("0.2.0", false, None);
        assert!(succeeded, "{written}: {printed:?}");
        assert_eq!(repository.git(&["status", "--porcelain"]), "", "{written}");
        assert_eq!(repository.git(&["log", "--format=%s"]), "Release v0.2.0\nall");
        let facts = Facts::of(repository.0.path(), &version, None).unwrap();
        assert_eq!(
            (facts.version, facts.disagreeing),
            (version.clone(), Vec::<String>::new())
        );
    }
}

#[test]
fn release_reports_failed_checks() {
    let repository = Repository::new();
    repository.write("Cargo.toml", "[workspace.package]\nversion = \"0.1.0\"\n# mine\n");
    repository.write("new", "");
    assert_eq!(
        repository.refusals(),
        ["NO  tree: uncommitted changes: Cargo.toml, new"]
    );
    repository.commit("mine");
    repository.git(&["switch", "--quiet", "--create", "side"]);
    assert_eq!(
        repository.refusals(),
        ["NO  branch: releases require the branch main, but this is `side`"]
    );
    repository.git(&["switch", "--quiet", "main"]);
    repository.git(&["tag", "v0.3.0"]);
    assert_eq!(
        repository.refusals(),
        ["NO  version: v0.3.0 is already released, and 0.2.0 is older"]
    );
    repository.git(&["tag", "--delete", "v0.3.0"]);
    repository.write("CHANGELOG.md", "# Changelog\n\n## Unreleased\n\n## 0.1.0\n\n- old\n");
    repository.commit("nothing new");
    let nothing = "NO  changelog: `## Unreleased` and `## 0.2.0` are both missing or empty";
    assert_eq!(repository.refusals(), [nothing]);
    repository.write(workflow::PATH, "cargo xtask dist --out a\n");
    repository.commit("no images");
    assert_eq!(repository.refusals().len(), 2);
}

#[test]
fn release_reports_other_versions_and_tag_of_other_commit() {
    let repository = Repository::new();
    repository.git(&["tag", "v0.2.0"]);
    let elsewhere = repository.git(&["rev-parse", "HEAD"]);
    assert!(repository.release("0.2.0", false, None).1);
    repository.write("Cargo.lock", LOCK);
    repository.commit("lock file of another version");
    repository.pass_ci("tests on a real cluster");
    let expected = [
        "NO  versions agree: other versions in Cargo.lock".to_owned(),
        format!("NO  tag: v0.2.0 names another commit, {elsewhere}; use a new version"),
    ];
    assert_eq!(repository.refusals(), expected);
}

#[cfg(unix)]
#[test]
fn release_checks_workflow_with_gh() {
    use std::os::unix::fs::PermissionsExt as _;

    let repository = Repository::new();
    assert!(repository.release("0.2.0", false, None).1);
    let folder = tempfile::tempdir().unwrap();
    let gh = folder.path().join("gh");
    for (answer, expected) in [
        (
            r#"echo '[{"conclusion":"success","url":"https://ci.example/7"}]'"#,
            "ok  CI: the workflow ci succeeded on this commit: https://ci.example/7",
        ),
        (
            r#"echo '[{"conclusion":"failure","url":"https://ci.example/7"}]'"#,
            "the workflow ci has not succeeded on this commit",
        ),
        ("echo '[]'", "the workflow ci has not succeeded on this commit"),
        ("echo no network >&2; exit 4", "gh run list --workflow ci.yml --commit"),
    ] {
        fs::write(&gh, format!("#!/bin/sh\n{answer}\n")).unwrap();
        fs::set_permissions(&gh, std::fs::Permissions::from_mode(0o755)).unwrap();
        let (printed, succeeded) = repository.release("0.2.0", true, Some(&gh));
        let line = printed.iter().find(|line| line.contains("  CI: ")).unwrap();
        assert!(line.contains(expected), "{line}");
        assert_eq!(succeeded, line.starts_with("ok"));
    }
}
