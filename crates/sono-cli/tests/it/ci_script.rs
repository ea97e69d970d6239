//! Use of a release in CI jobs: the script of `action.yml`, and the lines of `docs/ci.md`. The release is a directory.
//! Only on Linux, because the lines contain its names of platforms and tools.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{Finished, finished};

const FAILING: &str = "sonobuoy-config: {driver: Job, plugin-name: failing, result-format: junit}
spec:
  name: c
  image: i
  command: [/bin/sh, -c]
  args:
  - |
    cd $SONOBUOY_RESULTS_DIR
    echo '<testsuite name=\"s\"><testcase name=\"a\"/><testcase name=\"Passed: 7\"><failure/></testcase></testsuite>' > j.xml
    echo $SONOBUOY_RESULTS_DIR/j.xml > done
";

const PASSING: &str = "sonobuoy-config: {driver: Job, plugin-name: passing, result-format: raw}
spec:
  name: c
  image: i
  command: [/bin/sh, -c, 'echo x > $SONOBUOY_RESULTS_DIR/x; echo $SONOBUOY_RESULTS_DIR/x > $SONOBUOY_RESULTS_DIR/done']
";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// This machine's platform as named in a release.
fn platform() -> String {
    let system = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let architecture = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    format!("{system}_{architecture}")
}

/// Name of the release archive for this machine's platform.
fn archive() -> String {
    format!("sono_1.2.3_{}.tar.gz", platform())
}

struct Job {
    directory: tempfile::TempDir,
}

impl Job {
    /// A job with a release of version 1.2.3 that contains this program.
    fn new() -> Self {
        Self::with_program("")
    }

    /// A job with a release whose program runs these shell commands first.
    fn with_program(first: &str) -> Self {
        let job = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        let release = job.path("release");
        fs_err::create_dir(&release).unwrap();
        let program = format!(
            "#!/bin/sh\n{first}exec '{}' \"$@\"\n",
            assert_cmd::cargo::cargo_bin!("sono").display()
        );
        fs_err::write(job.path("sono"), program).unwrap();
        fs_err::set_permissions(job.path("sono"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let name = archive();
        job.shell(&format!(
            "tar -czf release/{name} sono && rm sono && cp release/{name} release/sono_1.2.3_plan9_mips.tar.gz \
             && cd release && sha256sum *.tar.gz > SHA256SUMS"
        ));
        fs_err::write(job.path("failing.yaml"), FAILING).unwrap();
        fs_err::write(job.path("passing.yaml"), PASSING).unwrap();
        job
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs_err::read_to_string(self.path(name)).unwrap()
    }

    fn command(&self, shell: &str) -> Command {
        let mut command = Command::new(shell);
        command
            .current_dir(self.directory.path())
            .env_clear()
            .env("HOME", self.directory.path())
            .env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()))
            .env("TZ", "UTC");
        command
    }

    fn shell(&self, script: &str) {
        let output = self.command("/bin/sh").args(["-ec", script]).output().unwrap();
        assert!(output.status.success(), "{:?}", finished(&output));
    }

    fn script(&self, what: &str, variables: &[(&str, &str)]) -> Finished {
        self.script_in("/bin/sh", what, variables)
    }

    fn script_in(&self, shell: &str, what: &str, variables: &[(&str, &str)]) -> Finished {
        let script = repository().join("deploy/ci/sono-ci.sh");
        let output = self
            .command(shell)
            .arg(script)
            .arg(what)
            .env("SONO_BIN", "bin")
            .env("SONO_RELEASE_URL", self.url())
            .env("GITHUB_OUTPUT", self.path("output"))
            .env("GITHUB_STEP_SUMMARY", self.path("summary.md"))
            .env("GITHUB_PATH", self.path("path"))
            .env("SONO_LOCAL", "true")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        finished(&output)
    }

    fn url(&self) -> String {
        format!("file://{}", self.path("release").display())
    }
}

/// Lines `name=value`, with the variable parts of the archive's name removed.
fn outputs(text: &str) -> Vec<String> {
    let line = |line: &str| match line.split_once("/2") {
        Some((start, rest)) if rest.ends_with(".tar.gz") => format!("{start}/…"),
        _ => line.to_owned(),
    };
    text.lines().map(line).collect()
}

/// GitHub uses bash, other systems use sh.
#[test]
fn a_release_is_installed_and_runs() {
    for shell in ["/bin/sh", "/bin/bash"] {
        let job = Job::new();
        let installed = job.script_in(shell, "install", &[]);
        let version = concat!("v", env!("CARGO_PKG_VERSION"), "\n");
        assert_eq!(
            (installed.code, installed.stdout.as_str()),
            (0, version),
            "{}",
            installed.stderr
        );
        let bin = job.path("bin").canonicalize().unwrap().display().to_string();
        assert_eq!(job.read("path").trim(), bin);

        let both = [
            ("SONO_PLUGINS", "failing.yaml passing.yaml"),
            ("SONO_ARGUMENTS", "--timeout 100"),
        ];
        let ran = job.script_in(shell, "run", &both);
        let expected = ["archive=sono-results/…", "status=failed", "passed=2", "failed=1"];
        let expected = expected.map(str::to_owned).to_vec();
        assert_eq!(
            (ran.code, outputs(&ran.stdout)),
            (3, expected),
            "{shell}: {}",
            ran.stderr
        );
        assert_eq!(job.read("output"), ran.stdout);
        let row = "| failing | failed | 1 | 1 | 0 |  |\n";
        assert!(job.read("summary.md").contains(row), "{}", job.read("summary.md"));
        let archive = ran.stdout.lines().next().unwrap().strip_prefix("archive=").unwrap();
        assert!(job.path(archive).is_file());
    }
}

#[test]
fn a_job_fails_as_configured() {
    let job = Job::new();
    assert_eq!(job.script("install", &[]).code, 0);
    for (plugin, fail_on, code, status) in [
        ("passing.yaml", "failures", 0, "passed"),
        ("failing.yaml", "run", 0, "failed"),
        ("failing.yaml", "never", 0, "failed"),
        ("missing.yaml", "run", 1, "error"),
        ("missing.yaml", "never", 0, "error"),
    ] {
        let ran = job.script("run", &[("SONO_PLUGINS", plugin), ("SONO_FAIL_ON", fail_on)]);
        let printed = ran.stdout.lines().find_map(|line| line.strip_prefix("status="));
        assert_eq!(
            (ran.code, printed),
            (code, Some(status)),
            "{plugin} {fail_on}: {}",
            ran.stderr
        );
    }
    let wrong = job.script("run", &[("SONO_FAIL_ON", "sometimes")]);
    assert_eq!(
        (wrong.code, wrong.stderr.as_str()),
        (
            1,
            "sono-ci: SONO_FAIL_ON must be failures, regressions, run or never, not sometimes\n"
        )
    );
}

/// Fails as long as the file exists.
const CHANGING: &str = "sonobuoy-config: {driver: Job, plugin-name: changing, result-format: junit}
spec:
  name: c
  image: i
  command: [/bin/sh, -c]
  args:
  - |
    cd $SONOBUOY_RESULTS_DIR
    test ! -e FILE || failure='<failure>gone</failure>'
    echo \"<testsuite name='s'><testcase name='a'>$failure</testcase><testcase name='b'/></testsuite>\" > j.xml
    echo $SONOBUOY_RESULTS_DIR/j.xml > done
";

#[test]
fn summary_begins_with_what_changed_since_the_baseline() {
    let job = Job::new();
    assert_eq!(job.script("install", &[]).code, 0);
    let broken = job.path("broken");
    let plugin = CHANGING.replace("FILE", &broken.display().to_string());
    fs_err::write(job.path("changing.yaml"), plugin).unwrap();
    let run = |baseline: &str, fail_on: &str| {
        fs_err::remove_file(job.path("summary.md")).ok();
        let variables = [
            ("SONO_PLUGINS", "changing.yaml"),
            ("SONO_BASELINE", baseline),
            ("SONO_FAIL_ON", fail_on),
        ];
        let ran = job.script("run", &variables);
        let value = |name: &str| {
            let lines = ran.stdout.lines();
            let value = lines
                .filter_map(|line| line.split_once('='))
                .find(|(key, _)| *key == name);
            value.map(|(_, value)| value.to_owned())
        };
        (
            ran.code,
            value("changes"),
            value("archive").unwrap(),
            ran.stderr.clone(),
        )
    };
    let (code, changes, first, stderr) = run("history", "regressions");
    assert_eq!((code, changes), (0, None), "{stderr}");
    assert!(
        stderr.contains("sono-ci: there is no earlier run to compare with"),
        "{stderr}"
    );
    fs_err::write(&broken, "").unwrap();
    let (code, changes, _, stderr) = run("history", "regressions");
    assert_eq!((code, changes.as_deref()), (3, Some("1 regression")), "{stderr}");
    let summary = job.read("summary.md");
    assert!(summary.starts_with("### Changes\n\n1 regression\n"), "{summary}");
    assert!(summary.contains("## Run failed"), "{summary}");
    // It fails as before.
    let (code, changes, _, stderr) = run("history", "regressions");
    assert_eq!(
        (code, changes.as_deref()),
        (0, Some("no differences, 1 still failing")),
        "{stderr}"
    );
    assert_eq!(run("history", "failures").0, 3);
    // An archive as baseline.
    let (code, changes, _, stderr) = run(&first, "regressions");
    assert_eq!((code, changes.as_deref()), (3, Some("1 regression")), "{stderr}");
    fs_err::remove_file(&broken).unwrap();
    let (code, changes, _, stderr) = run("history", "regressions");
    assert_eq!((code, changes.as_deref()), (0, Some("1 fixed")), "{stderr}");
}

#[test]
fn files_of_another_release_are_not_installed() {
    let job = Job::new();
    let name = archive();
    let sums = job.read("release/SHA256SUMS");
    let line = sums.lines().find(|line| line.ends_with(&name)).unwrap();
    let (sum, _) = line.split_once(' ').unwrap();
    let other = "0".repeat(64);
    let cases = [
        (
            sums.replace(&format!("{sum}  {name}"), &format!("{other}  {name}")),
            format!("checksum mismatch of {name}: SHA256SUMS has {other}, the file has {sum}"),
        ),
        (
            sums.replace(line, ""),
            format!("{} has no archive for {}", job.url(), platform().replace('_', " on ")),
        ),
        (
            format!("{sums}{sum}  {}\n", name.replace("1.2.3", "1.2.4")),
            format!(
                "{} has more than one archive for {}",
                job.url(),
                platform().replace('_', " on ")
            ),
        ),
    ];
    for (sums, message) in cases {
        fs_err::write(job.path("release/SHA256SUMS"), sums).unwrap();
        let installed = job.script("install", &[]);
        assert_eq!((installed.code, installed.stderr), (1, format!("sono-ci: {message}\n")));
        assert!(fs_err::read_dir(job.path("bin")).unwrap().next().is_none());
    }
}

/// Checksums with the same origin as the file do not prove its origin.
#[test]
fn install_takes_only_a_pinned_or_an_attested_archive() {
    let sums = |job: &Job| {
        let sums = job.read("release/SHA256SUMS");
        let line = sums.lines().find(|line| line.ends_with(&archive())).unwrap();
        line.split_once(' ').unwrap().0.to_owned()
    };
    // Exit codes of `gh attestation verify --help` and of `gh attestation verify FILE …`.
    let cases = [
        (Some((0, 0)), None, 0, "verified\n".to_owned()),
        (
            Some((0, 1)),
            None,
            1,
            format!(
                "verified\nsono-ci: {} has no valid attestation of o/r; to accept the file by its digest, set SONO_SHA256\n",
                archive()
            ),
        ),
        (
            Some((1, 0)),
            None,
            0,
            format!(
                "sono-ci: cannot verify the attestation of {}: gh is too old\n",
                archive()
            ),
        ),
        (
            None,
            None,
            0,
            format!(
                "sono-ci: cannot verify the attestation of {}: gh is not installed\n",
                archive()
            ),
        ),
        (Some((0, 1)), Some(true), 0, String::new()),
        (
            Some((0, 0)),
            Some(false),
            1,
            format!(
                "sono-ci: {} has the SHA-256 SUM, which is not in SONO_SHA256\n",
                archive()
            ),
        ),
    ];
    for (gh, pinned, code, stderr) in cases {
        let job = Job::new();
        fs_err::create_dir(job.path("bin")).unwrap();
        // Only the tools that the script requires, without this machine's `gh`.
        for tool in [
            "awk",
            "basename",
            "chmod",
            "cp",
            "gzip",
            "mkdir",
            "mktemp",
            "mv",
            "rm",
            "sha256sum",
            "tar",
            "uname",
            "wc",
            "sh",
        ] {
            let found = ["/usr/bin", "/bin"].map(|place| Path::new(place).join(tool));
            let found = found.iter().find(|path| path.exists()).unwrap();
            std::os::unix::fs::symlink(found, job.path("bin").join(tool)).unwrap();
        }
        if let Some((help, verify)) = gh {
            let script = format!(
                "#!/bin/sh\ncase \"$*\" in\n*--help) exit {help} ;;\n\"attestation verify {} --repo o/r\") echo verified; exit {verify} ;;\nesac\nexit 9\n",
                archive()
            );
            fs_err::write(job.path("bin/gh"), script).unwrap();
            fs_err::set_permissions(job.path("bin/gh"), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let sum = sums(&job);
        let digests = match pinned {
            None => String::new(),
            Some(true) => format!("{} sha256:{sum}", "0".repeat(64)),
            Some(false) => "0".repeat(64),
        };
        let path = job.path("bin").display().to_string();
        let variables = [
            ("SONO_SHA256", digests.as_str()),
            ("SONO_ATTESTATION_REPO", "o/r"),
            ("SONO_BIN", "installed"),
            ("PATH", &path),
        ];
        let installed = job.script("install", &variables);
        let found = (installed.code, installed.stderr.replace(&sum, "SUM"));
        assert_eq!(found, (code, stderr), "gh {gh:?}, pinned {pinned:?}");
        assert_eq!(job.path("installed/sono").exists(), code == 0);
    }
}

/// A build script of any dependency could use the rights of the job that it runs in.
#[test]
fn a_job_with_rights_compiles_nothing() {
    let text = fs_err::read_to_string(repository().join(".github/workflows/release.yml")).unwrap();
    let workflow: Value = sono_types::yaml::first_document(&text).unwrap();
    assert_eq!(workflow["permissions"], serde_json::json!({"contents": "read"}));
    let mut with_rights = Vec::new();
    for (name, job) in workflow["jobs"].as_object().unwrap() {
        let permissions = job["permissions"].as_object().into_iter().flatten();
        let may_write = permissions.into_iter().any(|(_, right)| right == "write");
        if !may_write {
            assert!(job["environment"].is_null(), "{name} has the secrets of an environment");
            continue;
        }
        with_rights.push(name.as_str());
        for step in job["steps"].as_array().unwrap() {
            let run = step["run"].as_str().unwrap_or_default();
            for builder in ["cargo", "rustc", "make", "npm", "pip", "go "] {
                assert!(!run.contains(builder), "{name}: {run}");
            }
        }
    }
    assert_eq!(with_rights, ["publish"]);
}

/// The lines that readers copy from the page.
#[test]
fn the_lines_of_the_page_work() {
    let page = fs_err::read_to_string(repository().join("docs/ci.md")).unwrap();
    let block = page.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    // The lines are the same for GitLab.
    for line in block.lines() {
        assert!(page.contains(&format!("    - {line}\n")), "{line}");
    }
    let local = "./sono run --local --exit-code -p \"$plugin\"";
    assert!(page.contains(&format!("`{local}`")));
    let block = block
        .replace("./sono run --wait=60m --rm --exit-code -p \"$plugin\"", local)
        .replace("linux_amd64", &platform());
    assert!(block.contains(local), "{block}");
    let job = Job::new();
    let output = job
        .command("/bin/sh")
        .args(["-ec", &block])
        .env("releases", job.url())
        .env("version", "1.2.3")
        .env("plugin", "failing.yaml")
        .output()
        .unwrap();
    let finished = finished(&output);
    assert_eq!(finished.code, 3, "{finished:?}");
    assert!(
        job.read("junit.xml")
            .contains("<testsuite name=\"failing\" tests=\"2\" failures=\"1\""),
        "{}",
        job.read("junit.xml")
    );
}

/// Replaces the cluster: `run --wait=60m --rm` is a local run, or exits with the number in place of the plugin, without an archive.
const WITHOUT_A_CLUSTER: &str = r#"if [ "$1 $2 $3 $4 $5" = "run --wait=60m --rm --exit-code -p" ]; then
    case $6 in
    [0-9]*) echo "error: there is no archive" >&2; exit "$6" ;;
    *) set -- run --local --exit-code -p "$6" ;;
    esac
fi
"#;

/// Commands of the page for any shell and for GitLab, unchanged.
fn lines_of_the_page() -> [String; 2] {
    let page = fs_err::read_to_string(repository().join("docs/ci.md")).unwrap();
    let block = |fence: &str, with: &str| {
        let blocks = page.split(fence).skip(1).map(|rest| rest.split("```").next().unwrap());
        blocks
            .filter(|block| block.contains(with))
            .map(str::to_owned)
            .next()
            .unwrap()
    };
    let gitlab: Value = sono_types::yaml::first_document(&block("```yaml\n", "script:")).unwrap();
    let script = gitlab["diagnostics"]["script"].as_array().unwrap();
    let script: Vec<&str> = script.iter().map(|line| line.as_str().unwrap()).collect();
    [block("```sh\n", "--rm"), script.join("\n")]
}

/// CI systems end a script at the first failed command, and may have a variable `code`.
#[test]
fn lines_of_the_page_keep_the_exit_code() {
    const UNKNOWN: &str = "unknown.yaml";
    for lines in lines_of_the_page() {
        assert!(lines.contains("./sono run --wait=60m --rm --exit-code -p"), "{lines}");
        for (shell, options) in [("/bin/sh", "-eu"), ("/bin/bash", "-eo pipefail")] {
            for (plugin, code) in [
                ("passing.yaml", 0),
                ("failing.yaml", 3),
                (UNKNOWN, 4),
                ("missing.yaml", 1),
                ("5", 5),
                ("6", 6),
                ("130", 130),
            ] {
                let job = Job::with_program(WITHOUT_A_CLUSTER);
                fs_err::write(
                    job.path(UNKNOWN),
                    FAILING.replace("<failure/>", "<step result=\"failed\"/>"),
                )
                .unwrap();
                fs_err::write(job.path("lines.sh"), lines.replace("linux_amd64", &platform())).unwrap();
                let output = job
                    .command(shell)
                    .args(options.split(' '))
                    .arg("lines.sh")
                    .env("releases", job.url())
                    .env("version", "1.2.3")
                    .env("plugin", plugin)
                    .env("code", "77")
                    .output()
                    .unwrap();
                let finished = finished(&output);
                assert_eq!(
                    finished.code, code,
                    "{shell} {options}, {plugin}: {finished:?}\n{lines}"
                );
                let has_archive = matches!(code, 0 | 3 | 4);
                assert_eq!(
                    job.path("junit.xml").exists(),
                    has_archive,
                    "{shell} {options}, {plugin}"
                );
            }
        }
    }
}

/// `action.yml`, the script and the page have the same inputs and outputs.
#[test]
fn action_script_and_page_agree() {
    let text = fs_err::read_to_string(repository().join("action.yml")).unwrap();
    let action: Value = sono_types::yaml::first_document(&text).unwrap();
    let script = fs_err::read_to_string(repository().join("deploy/ci/sono-ci.sh")).unwrap();
    let page = fs_err::read_to_string(repository().join("docs/ci.md")).unwrap();
    let keys = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    for input in keys(&action["inputs"]) {
        assert!(text.contains(&format!("inputs.{input} ")), "{input} is not used");
        assert!(
            page.contains(&format!("\n| `{input}` | ")),
            "{input} is not on the page"
        );
    }
    for output in keys(&action["outputs"]) {
        let value = action["outputs"][&output]["value"].as_str().unwrap();
        assert_eq!(value, format!("${{{{ steps.run.outputs.{output} }}}}"));
        assert!(script.contains(&format!("\"{output}=$")), "{output}");
    }
    let steps = action["runs"]["steps"].as_array().unwrap();
    let run = steps.iter().find(|step| step["id"] == "run").unwrap();
    for variable in keys(&run["env"]) {
        let read = ["-", ":-", ":=", ":+"].map(|with| format!("${{{variable}{with}"));
        assert!(read.iter().any(|read| script.contains(read)), "{variable} is not read");
        assert!(page.contains(&format!("`{variable}`")), "{variable} is not on the page");
    }
    for step in steps {
        if let Some(uses) = step["uses"].as_str() {
            let (_, commit) = uses.split_once('@').unwrap();
            assert!(
                commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{uses}"
            );
        } else {
            // Foreign text never becomes part of a script.
            assert!(!step["run"].as_str().unwrap().contains("${{"), "{step}");
        }
    }
}
