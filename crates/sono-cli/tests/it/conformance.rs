//! `conformance`: lists, judgements and submissions.

use std::{fmt::Write as _, path::Path};

use crate::{Finished, command, finished, sono};

const PRODUCT: [&str; 16] = [
    "--vendor",
    "ACME",
    "--name",
    "ACME Kubernetes",
    "--version",
    "1.37",
    "--type",
    "distribution",
    "--description",
    "Kubernetes: \"for\" roadrunners",
    "--website-url",
    "https://acme.example.com",
    "--documentation-url",
    "https://acme.example.com/docs",
    "--contact-email-address",
    "team@acme.example.com",
];

fn write(directory: &Path, name: &str, text: &str) {
    let path = directory.join(name);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, text).unwrap();
}

fn required(directory: &Path) -> Vec<String> {
    let listed = sono(directory, &["conformance", "list"]);
    assert_eq!(
        (listed.code, listed.stderr.as_str()),
        (0, "462 tests required by v1.37\n")
    );
    listed.stdout.lines().map(str::to_owned).collect()
}

/// An unpacked archive of a run of the given tests.
fn run(directory: &Path, tests: &[String], focus: &str) {
    let mut cases = String::new();
    for test in tests {
        let name = test
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&#34;");
        writeln!(cases, "<testcase name=\"[It] {name}\" time=\"1\"></testcase>").unwrap();
    }
    let count = tests.len();
    for (name, text) in [
        (
            "meta/config.json",
            r#"{"Version":"v0.1.0","WorkerImage":"example.com/sono:v0.1.0"}"#.to_owned(),
        ),
        ("meta/info.json", r#"{"plugins":["e2e"]}"#.to_owned()),
        ("meta/run.log", "{\"time\":\"2999-01-01T00:00:00Z\"}\n".to_owned()),
        (
            "serverversion.json",
            r#"{"gitVersion":"v1.37.2","platform":"linux/amd64"}"#.to_owned(),
        ),
        (
            "plugins/e2e/definition.json",
            format!(
                r#"{{"Definition":{{"spec":{{"name":"e2e","image":"registry.k8s.io/conformance:v1.37.2","env":[{{"name":"E2E_FOCUS","value":"{focus}"}}]}}}}}}"#
            ),
        ),
        (
            "plugins/e2e/results/global/e2e.log",
            format!(
                "Ran {count} of 7137 Specs in 1.0 seconds\nSUCCESS! -- {count} Passed | 0 Failed | 0 Pending | 1 Skipped\n"
            ),
        ),
        (
            "plugins/e2e/results/global/junit_01.xml",
            format!(
                "<testsuites><testsuite name=\"Kubernetes e2e suite\" tests=\"{count}\">\n{cases}</testsuite></testsuites>\n"
            ),
        ),
    ] {
        write(directory, &format!("run/{name}"), &text);
    }
}

/// The bytes of the submission's files.
fn bytes(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                fs_err::read(entry.path()).unwrap(),
            )
        })
        .collect();
    files.sort();
    files
}

#[test]
fn list_has_the_tests_of_each_version() {
    let directory = tempfile::tempdir().unwrap();
    let list = |arguments: &[&str]| sono(directory.path(), &[&["conformance", "list"], arguments].concat());
    let counts = ["v1.33", "1.34.4", "v1.35", "v1.36.3", "1.37"]
        .map(|version| list(&["--kubernetes-version", version]).stdout.lines().count());
    assert_eq!(counts, [417, 424, 441, 446, 462]);
    assert_eq!(
        list(&["--kubernetes-version", "v1.32"]),
        Finished {
            code: 1,
            stdout: String::new(),
            stderr: "error: sono does not know the required tests of v1.32\n  known versions: v1.33, v1.34, v1.35, v1.36, v1.37\n  hint:  pass the list of the suite with --required FILE; its image prints it: e2e.test --list-conformance-tests\n".to_owned(),
        }
    );
    write(
        directory.path(),
        "conformance.yaml",
        "- codename: '[sig] b [Conformance]'\n  release: v1.9\n- codename: '[sig] a [Conformance]'\n  release: v1.40\n",
    );
    assert_eq!(
        list(&["--kubernetes-version", "v1.40", "--required", "conformance.yaml"]).stdout,
        "[sig] a [Conformance]\n[sig] b [Conformance]\n"
    );
}

#[test]
fn product_is_written_from_flags_or_answers() {
    let directory = tempfile::tempdir().unwrap();
    let init = [&["conformance", "product", "init"], PRODUCT.as_slice()].concat();
    let expected = "vendor: \"ACME\"\nname: \"ACME Kubernetes\"\nversion: \"1.37\"\nwebsite_url: \"https://acme.example.com\"\n\
        documentation_url: \"https://acme.example.com/docs\"\ntype: \"distribution\"\ndescription: \"Kubernetes: \\\"for\\\" roadrunners\"\n\
        contact_email_address: \"team@acme.example.com\"\n";
    let made = sono(directory.path(), &init);
    assert_eq!((made.code, made.stderr.as_str()), (0, "wrote `PRODUCT.yaml`\n"));
    assert_eq!(
        fs_err::read_to_string(directory.path().join("PRODUCT.yaml")).unwrap(),
        expected
    );
    assert_eq!(
        sono(directory.path(), &init).stderr,
        "error: `PRODUCT.yaml` already exists\n  hint:  replace it with --force\n"
    );
    let answers = "ACME\nACME Kubernetes\n1.37\ndistribution\nKubernetes: \"for\" roadrunners\nhttps://acme.example.com\nhttps://acme.example.com/docs\nteam@acme.example.com\n\n\n";
    let asked = |answers: &str| {
        use std::{io::Write as _, process::Stdio};
        let mut child = command(directory.path())
            .args(["conformance", "product", "init", "--file", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
        finished(&child.wait_with_output().unwrap())
    };
    assert_eq!((asked(answers).code, asked(answers).stdout.as_str()), (0, expected));
    assert_eq!(
        asked("ACME\n"),
        Finished {
            code: 1,
            stdout: String::new(),
            stderr: "vendor:\nname:\nerror: field `name` is missing\n  hint:  set it with --name\n".to_owned(),
        }
    );
}

#[test]
fn incomplete_run_is_refused_and_its_draft_has_the_same_bytes_each_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let tests = required(path);
    run(path, &tests[..20], "one");
    assert_eq!(
        sono(
            path,
            &[&["conformance", "product", "init"], PRODUCT.as_slice()].concat()
        )
        .code,
        0
    );
    let checked = sono(path, &["conformance", "check", "run", "-o", "json"]);
    let judgement: serde_json::Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(
        (
            checked.code,
            &judgement["required"],
            judgement["missing"].as_array().unwrap().len()
        ),
        (3, &serde_json::json!(462), 442)
    );
    let missing = sono(path, &["conformance", "list", "--missing-from", "run"]);
    assert_eq!((missing.code, missing.stdout.lines().count()), (0, 442));
    assert_eq!(missing.stderr, "442 of 462 tests required by v1.37 did not pass\n");
    assert_eq!(
        sono(path, &["conformance", "submit", "run"]),
        Finished {
            code: 3,
            stdout: String::new(),
            stderr:
                "error: `run` is not a submission\n  filtered: E2E_FOCUS is `one` instead of `\\[Conformance\\]`\n  \
                missing: 442 of 462 required tests did not run\n  \
                hint:  run the whole suite: sono run --mode certified-conformance; or write a draft with --draft\n"
                    .to_owned(),
        }
    );
    assert!(!path.join("v1.37").exists());
    let draft = || {
        assert_eq!(sono(path, &["conformance", "submit", "run", "--draft"]).code, 0);
        bytes(&path.join("v1.37/acme-kubernetes"))
    };
    let first = draft();
    assert_eq!(first, draft());
    assert_eq!(
        first.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["PRODUCT.yaml", "README.md", "e2e.log", "junit_01.xml"]
    );
    for mode in ["bot", "strict"] {
        assert_eq!(
            sono(path, &["conformance", "check", "v1.37/acme-kubernetes", "--mode", mode]).code,
            3
        );
    }
}

#[test]
fn whole_run_becomes_a_submission_that_both_judges_accept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    run(path, &required(path), r"\\[Conformance\\]");
    assert_eq!(
        sono(
            path,
            &[&["conformance", "product", "init"], PRODUCT.as_slice()].concat()
        )
        .code,
        0
    );
    let submitted = sono(path, &["conformance", "submit", "run", "--folder", "acme"]);
    assert_eq!(submitted.code, 0, "{submitted:?}");
    assert!(
        submitted.stdout.ends_with(
            "wrote ./v1.37/acme\n\nIn a fork of https://github.com/cncf/k8s-conformance:\n  git checkout -b v1.37-acme\n  git add v1.37/acme\n  \
             git commit -s -m 'Conformance results for v1.37/acme'\n  git push origin v1.37-acme\n\
             Then open a pull request with the title: Conformance results for v1.37/acme\n"
        ),
        "{}",
        submitted.stdout
    );
    for arguments in [
        &["v1.37/acme"][..],
        &["v1.37/acme", "-m", "strict"],
        &["v1.37", "-o", "markdown"],
        &["run", "-m", "strict"],
    ] {
        let checked = sono(path, &[&["conformance", "check"], arguments].concat());
        assert_eq!(checked.code, 0, "{arguments:?} {checked:?}");
    }
    let refused = sono(path, &["conformance", "submit", "run", "--folder", "../acme"]);
    assert_eq!(
        refused.stderr,
        "error: invalid name of a folder `../acme`\n  hint:  name the folder with letters, digits and dashes: --folder NAME\n"
    );
    write(path, "v1.37/acme/notes.txt", "x");
    assert_eq!(
        sono(path, &["conformance", "submit", "run", "--folder", "acme"]).stderr,
        "error: cannot write `./v1.37/acme`\n  the folder has another file: `notes.txt`\n  hint:  select another directory with -C\n"
    );
}
