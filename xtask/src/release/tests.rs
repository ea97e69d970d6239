//! Against repositories of their own.

use super::{facts::git, *};

const LOCK: &str = "version = 4\n\n[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n";
const WORKFLOW: &str = "cargo xtask dist --out a --image-registry \"$REGISTRY\"\npublisher/sono-publish push --out images --to \"$REGISTRY\"\n";

struct Repository(tempfile::TempDir);

impl Repository {
    /// At 0.1.0, with something unreleased.
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

    fn pass_ci(&self, what: &str) {
        let head = self.git(&["rev-parse", "HEAD"]);
        self.write(&format!(".git/sono-ci-passed/{head}"), what);
    }

    /// What is said, and whether it went well.
    fn release(&self, version: &str, is_dry: bool, gh: Option<&Path>) -> (Vec<String>, bool) {
        let mut said = Vec::new();
        let result = release(self.0.path(), &version.parse().unwrap(), gh, is_dry, &mut |line| {
            said.push(line);
        });
        (said, result.is_ok())
    }

    /// Of 0.2.0: what is marked NO.
    fn refusals(&self) -> Vec<String> {
        let (said, went_well) = self.release("0.2.0", true, None);
        let refusals: Vec<String> = said.into_iter().filter(|line| line.starts_with("NO")).collect();
        assert_eq!(refusals.is_empty(), went_well);
        refusals
    }
}

#[test]
fn a_version_is_committed_tested_and_tagged() {
    let repository = Repository::new();
    let (said, went_well) = repository.release("0.2.0", false, None);
    assert_eq!(
        (said.join("\n").as_str(), went_well),
        (
            "ok  branch: main\n\
             ok  tree: everything is committed\n\
             ok  images: the program asks for those that the release's workflow pushes\n\
             ok  version: the workspace goes from 0.1.0 to 0.2.0\n\
             ok  changelog: what is unreleased becomes 0.2.0\n\
             write the version into Cargo.toml, Cargo.lock, CHANGELOG.md, deploy/krew/sono.yaml\n\
             commit them\n\
             next: git push; when CI has passed on that commit, cargo xtask release 0.2.0 again",
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

    let without = ".ci/run has not passed on this commit on this machine; the workflow was not asked (needs the program gh, and GH_TOKEN)";
    assert_eq!(repository.refusals(), [format!("NO  CI: {without}")]);
    repository.pass_ci("tests without a cluster\n");
    let refused = repository.refusals();
    assert_eq!(refused.len(), 1);
    assert!(refused[0].contains("but without the tests on a cluster"), "{refused:?}");

    repository.pass_ci("tests without a cluster\ntests on a real cluster\n");
    let (said, went_well) = repository.release("0.2.0", false, None);
    let expected = [
        "ok  versions agree: the workspace, the lock file and krew's manifest",
        "ok  CI: .ci/run passed on this commit on this machine, with tests without a cluster, tests on a real cluster",
        "ok  tag: v0.2.0 is free",
        "tag the commit, with the changelog's section as message",
        "next: git push origin main v0.2.0; the workflow `release` does the rest, see RELEASING.md",
    ];
    assert_eq!((&said[5..], went_well), (&expected.map(ToOwned::to_owned)[..], true));
    assert_eq!(
        repository.git(&["tag", "--list", "--format=%(contents)", "v0.2.0"]),
        "v0.2.0\n\n- new"
    );

    let (said, went_well) = repository.release("0.2.0", false, None);
    assert!(went_well);
    assert_eq!(said[7], "ok  tag: v0.2.0 is this commit already");
    assert!(said[8].starts_with("next: git push origin main v0.2.0"), "{said:?}");
}

#[test]
fn a_dry_run_changes_nothing() {
    let repository = Repository::new();
    let before = repository.git(&["rev-parse", "HEAD"]);
    let (said, went_well) = repository.release("0.2.0", true, None);
    assert!(went_well);
    let would: Vec<&String> = said.iter().filter(|line| line.starts_with("would ")).collect();
    assert_eq!(would.len(), 2, "{said:?}");
    assert_eq!(repository.git(&["status", "--porcelain"]), "");
    assert_eq!(repository.git(&["rev-parse", "HEAD"]), before);
}

/// Wherever it was cut off while writing, the next call goes on.
#[test]
fn a_release_that_was_cut_off_goes_on() {
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
        let (said, went_well) = repository.release("0.2.0", false, None);
        assert!(went_well, "{written}: {said:?}");
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
fn what_is_not_as_it_should_be_is_named() {
    let repository = Repository::new();
    repository.write("Cargo.toml", "[workspace.package]\nversion = \"0.1.0\"\n# mine\n");
    repository.write("new", "");
    assert_eq!(repository.refusals(), ["NO  tree: not committed: Cargo.toml, new"]);
    repository.commit("mine");
    repository.git(&["switch", "--quiet", "--create", "side"]);
    assert_eq!(
        repository.refusals(),
        ["NO  branch: releases are made of main, this is `side`"]
    );
    repository.git(&["switch", "--quiet", "main"]);
    repository.git(&["tag", "v0.3.0"]);
    assert_eq!(
        repository.refusals(),
        ["NO  version: v0.3.0 is released already, and 0.2.0 is older"]
    );
    repository.git(&["tag", "--delete", "v0.3.0"]);
    repository.write("CHANGELOG.md", "# Changelog\n\n## Unreleased\n\n## 0.1.0\n\n- old\n");
    repository.commit("nothing new");
    let nothing = "NO  changelog: neither `## Unreleased` nor `## 0.2.0` has anything in it";
    assert_eq!(repository.refusals(), [nothing]);
    repository.write(workflow::PATH, "cargo xtask dist --out a\n");
    repository.commit("no images");
    assert_eq!(repository.refusals().len(), 2);
}

#[test]
fn versions_that_disagree_and_a_tag_elsewhere_are_named() {
    let repository = Repository::new();
    repository.git(&["tag", "v0.2.0"]);
    let elsewhere = repository.git(&["rev-parse", "HEAD"]);
    assert!(repository.release("0.2.0", false, None).1);
    repository.write("Cargo.lock", LOCK);
    repository.commit("lock file of another version");
    repository.pass_ci("tests on a real cluster");
    let expected = [
        "NO  versions agree: another version in Cargo.lock".to_owned(),
        format!("NO  tag: v0.2.0 is another commit, {elsewhere}; take a new number"),
    ];
    assert_eq!(repository.refusals(), expected);
}

#[cfg(unix)]
#[test]
fn the_workflow_is_asked_where_there_is_a_token() {
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
            "the workflow ci has not succeeded on it",
        ),
        ("echo '[]'", "the workflow ci has not succeeded on it"),
        ("echo no network >&2; exit 4", "gh run list --workflow ci.yml --commit"),
    ] {
        fs::write(&gh, format!("#!/bin/sh\n{answer}\n")).unwrap();
        fs::set_permissions(&gh, std::fs::Permissions::from_mode(0o755)).unwrap();
        let (said, went_well) = repository.release("0.2.0", true, Some(&gh));
        let line = said.iter().find(|line| line.contains("  CI: ")).unwrap();
        assert!(line.contains(expected), "{line}");
        assert_eq!(went_well, line.starts_with("ok"));
    }
}
