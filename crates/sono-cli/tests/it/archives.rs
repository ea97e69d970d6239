//! `results` on archives of tests and on invalid ones.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use crate::{command, failure, sono};

#[test]
fn invalid_archives_are_reported() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(
        sono(directory.path(), &["results", "none.tar.gz"]),
        failure(
            "error: no such file or directory: none.tar.gz\n  hint:  to retrieve the archive of a run: sono retrieve\n"
        )
    );
    fs_err::create_dir(directory.path().join("empty")).unwrap();
    assert_eq!(
        sono(directory.path(), &["results", "empty", "-p", "x"]),
        failure("error: cannot read `empty`\n  failed to find file \"plugins/x/sonobuoy_results.yaml\" in archive\n")
    );
}

/// An archive of a run with a plugin of each kind: as a directory, as a tarball, and as the tarball `unsorted`, with
/// directories in an order that neither program writes.
fn made(directory: &Path) -> [PathBuf; 3] {
    let files = [
        ("meta/info.json", r#"{"plugins":["ds","junit"]}"#),
        (
            "meta/clusterhealth.json",
            r#"{"node_health":{"total_nodes":1,"healthy_nodes":1},"pod_health":{"total_nodes":0,"healthy_nodes":0},"api_version":"v1.37.2","error_summary":{"Warnings":{"podlogs/a/b/logs/c.txt":2},"Errors":{"podlogs/a/b/logs/c.txt":1}}}"#,
        ),
        ("meta/config.json", r#"{"UUID":"4f2a"}"#),
        ("plugins/ds/results/n1/out", "from n1\n"),
        ("plugins/ds/results/n2/out", "from n2\n"),
        (
            "plugins/ds/sonobuoy_results.yaml",
            // Not in the order of the archive.
            "name: ds\nstatus: passed\nmeta:\n  type: summary\nitems:\n- name: n2\n  status: passed\n  meta:\n    type: node\n  items:\n  - name: out\n    status: passed\n    meta:\n      file: results/n2/out\n- name: n1\n  status: passed\n  meta:\n    type: node\n  items:\n  - name: out\n    status: passed\n    meta:\n      file: results/n1/out\n",
        ),
        (
            "plugins/junit/sonobuoy_results.yaml",
            "name: junit\nstatus: failed\nmeta:\n  type: summary\nitems:\n- name: j.xml\n  status: failed\n  items:\n  - name: '[It] works'\n    status: passed\n  - name: breaks\n    status: failed\n    details:\n      failure: |-\n        first line\n        second\n  - name: later\n    status: skipped\n",
        ),
    ];
    let run = directory.join("run");
    for (name, text) in files {
        let path = run.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    let sorted = directory.join("run.tar.gz");
    let file = fs_err::File::create(&sorted).unwrap();
    sono_bundle::pack_directory(&run, file, &[], 6).unwrap();
    let unsorted = directory.join("unsorted.tar.gz");
    let packed = std::process::Command::new("tar")
        .arg("-C")
        .arg(&run)
        .arg("-czf")
        .arg(&unsorted)
        .args(["./plugins/junit", "./plugins/ds", "./meta"])
        .status();
    assert!(packed.unwrap().success());
    [run, sorted, unsorted]
}

/// Every view ends with the verdict as its code, also if standard output is closed.
#[test]
fn exit_code_of_every_view_is_the_verdict_also_if_output_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let [_, archive, _] = made(directory.path());
    let archive = archive.to_str().unwrap();
    let views = ["report", "detailed", "readable", "dump"].map(|mode| ["--mode", mode]);
    let documents = ["table", "json", "yaml", "markdown", "junit"].map(|output| ["-o", output]);
    for view in views.iter().chain(&documents) {
        for (plugin, code) in [(&["-p", "ds"][..], 0), (&["-p", "junit"], 3), (&[], 3)] {
            let arguments = [&["results", archive, "--exit-code"], &view[..], plugin].concat();
            assert_eq!(sono(directory.path(), &arguments).code, code, "{arguments:?}");
            let mut child = command(directory.path());
            let child = child.args(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = child.spawn().unwrap();
            drop(child.stdout.take());
            let output = child.wait_with_output().unwrap();
            assert_eq!(
                (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
                (Some(code), ""),
                "closed: {arguments:?}"
            );
        }
    }
}

/// An archive is read from a pipe; an uncompressed tar is reported as such.
#[test]
fn an_archive_is_read_from_a_pipe() {
    let directory = tempfile::tempdir().unwrap();
    let [run, archive, _] = made(directory.path());
    let ways = [
        "cat run.tar.gz | $SONO results -",
        "cat run.tar.gz | $SONO results /dev/stdin",
    ];
    let from_file = sono(directory.path(), &["results", archive.to_str().unwrap()]);
    for way in ways {
        let program = command(directory.path()).get_program().to_owned();
        let output = std::process::Command::new("sh")
            .current_dir(directory.path())
            .env("SONO", program)
            .args(["-c", way])
            .output()
            .unwrap();
        assert_eq!(crate::finished(&output), from_file, "{way}");
    }
    let plain = directory.path().join("plain.tar");
    let status = std::process::Command::new("tar")
        .arg("-C")
        .arg(&run)
        .arg("-cf")
        .arg(&plain)
        .arg(".")
        .status();
    assert!(status.unwrap().success());
    let finished = sono(directory.path(), &["results", "plain.tar"]);
    assert_eq!(finished.code, 1);
    assert!(
        finished.stderr.contains("an uncompressed tar archive"),
        "{}",
        finished.stderr
    );
}

/// Otherwise a misspelled filter would look like a run without failures.
#[test]
fn filters_without_matches_are_reported() {
    let directory = tempfile::tempdir().unwrap();
    let [_, archive, _] = made(directory.path());
    let archive = archive.to_str().unwrap();
    let note = |arguments: &[&str]| sono(directory.path(), &[&["results", archive], arguments].concat()).stderr;
    assert_eq!(
        note(&["--status", "fialed"]),
        "note: no result matches --status fialed\n"
    );
    assert_eq!(
        note(&["--name", "^nothing$", "--status", "failed"]),
        "note: no result matches --name '^nothing$' and --status failed\n"
    );
    assert_eq!(note(&["--status", "failed"]), "");
    assert_eq!(
        note(&["--status", "fialed", "-o", "json"]),
        "note: no result matches --status fialed\n"
    );
}

/// The cluster's health has an exit code, too.
#[test]
fn exit_code_of_the_clusters_health() {
    let directory = tempfile::tempdir().unwrap();
    let [run, _, _] = made(directory.path());
    let code = || {
        let arguments = ["results", "run", "-p", "sonobuoy", "--exit-code"];
        sono(directory.path(), &arguments).code
    };
    assert_eq!(code(), 0);
    let health = run.join("meta/clusterhealth.json");
    let text = fs_err::read_to_string(&health).unwrap();
    fs_err::write(&health, text.replace(r#""healthy_nodes":1"#, r#""healthy_nodes":0"#)).unwrap();
    assert_eq!(code(), 3);
    fs_err::remove_file(&health).unwrap();
    assert_ne!(code(), 0);
}

/// Checks that the output is the same for the directory and the tarballs.
fn check(arguments: &[&str], expected: &str) {
    let directory = tempfile::tempdir().unwrap();
    for path in made(directory.path()) {
        let finished = sono(
            directory.path(),
            &[&["results", path.to_str().unwrap()], arguments].concat(),
        );
        assert_eq!(
            (finished.stdout.as_str(), finished.stderr.as_str(), finished.code),
            (expected, "", 0),
            "{arguments:?}: {}",
            path.display()
        );
    }
}

/// BUG 34: files of all nodes are read in one pass, in any order; BUG 43: directories are read like archives.
#[test]
fn files_of_items_are_printed_in_the_order_of_the_tree() {
    check(
        &["--mode", "detailed", "-p", "ds"],
        "ds|n2|out from n2\nds|n1|out from n1\n",
    );
    check(
        &["--mode", "detailed", "-p", "ds", "--skip-prefix"],
        "from n2\nfrom n1\n",
    );
    check(&["--mode", "detailed", "-p", "ds", "--node", "n1"], "n1|out from n1\n");
    check(
        &["--mode", "detailed", "--status", "failed"],
        "\n{\"name\":\"breaks\",\"status\":\"failed\",\"meta\":{\"path\":\"junit|j.xml\"},\"details\":{\"failure\":\"first line\\nsecond\"}}\n\n{\"node_health\":{\"total_nodes\":1,\"healthy_nodes\":1},\"pod_health\":{\"total_nodes\":0,\"healthy_nodes\":0},\"api_version\":\"v1.37.2\",\"error_summary\":{\"Warnings\":{\"podlogs/a/b/logs/c.txt\":2},\"Errors\":{\"podlogs/a/b/logs/c.txt\":1}}}",
    );
}

/// BUG 42: the order is stable, also of the categories of log lines.
#[test]
fn the_report_is_compatible_with_scripts() {
    check(
        &[],
        "Plugin: ds\nStatus: passed\nTotal: 2\nPassed: 2\nFailed: 0\nSkipped: 0\n\nPlugin: junit\nStatus: failed\nTotal: 3\nPassed: 1\nFailed: 1\nSkipped: 1\n\nFailed tests:\nbreaks\n\nRun Details:\nAPI Server version: v1.37.2\nNode health: 1/1 (100%)\nErrors detected in files:\nErrors:\n1 podlogs/a/b/logs/c.txt\nWarnings:\n2 podlogs/a/b/logs/c.txt\n",
    );
    check(
        &["-p", "junit", "--name", "^(breaks|later)$"],
        "Plugin: junit\nStatus: failed\nTotal: 2\nPassed: 0\nFailed: 1\nSkipped: 1\n\nFailed tests:\nbreaks\n",
    );
    check(
        &["-p", "sonobuoy", "--mode", "dump"],
        "node_health:\n  total_nodes: 1\n  healthy_nodes: 1\npod_health:\n  total_nodes: 0\n  healthy_nodes: 0\napi_version: v1.37.2\nerror_summary:\n  Errors:\n    podlogs/a/b/logs/c.txt: 1\n  Warnings:\n    podlogs/a/b/logs/c.txt: 2\n",
    );
}

/// BUG 53: skipped tests are listed separately.
#[test]
fn reports_are_available_as_documents() {
    check(
        &["-o", "table"],
        "run 4f2a   failed   v1.37.2, 1 node

ds        passed    2 run: 2 passed
junit     failed    2 run: 1 passed, 1 failed   (1 skipped)
  ✗ breaks
      first line
      second
cluster   healthy   1/1 nodes ready, 0/0 pods ready; 1 error in 1 log, 2 warnings in 1 log
",
    );
    check(
        &["-o", "json", "--skip-passed", "-p", "junit"],
        "{\"run\":\"4f2a\",\"status\":\"failed\",\"plugins\":[{\"plugin\":\"junit\",\"name\":\"junit\",\"status\":\"failed\",\"counts\":{\"failed\":1},\"items\":[{\"path\":[\"j.xml\"],\"name\":\"breaks\",\"status\":\"failed\",\"details\":{\"failure\":\"first line\\nsecond\"}}]}]}\n",
    );
    check(
        &["-o", "yaml", "--name", "later"],
        "run: 4f2a\nstatus: failed\nplugins:\n- plugin: ds\n  name: ds\n  status: passed\n  counts: {}\n  items: []\n- plugin: junit\n  name: junit\n  status: failed\n  counts:\n    skipped: 1\n  items:\n  - path:\n    - j.xml\n    name: later\n    status: skipped\nhealth:\n  node_health:\n    total_nodes: 1\n    healthy_nodes: 1\n  pod_health:\n    total_nodes: 0\n    healthy_nodes: 0\n  api_version: v1.37.2\n  error_summary:\n    Errors:\n      podlogs/a/b/logs/c.txt: 1\n    Warnings:\n      podlogs/a/b/logs/c.txt: 2\n",
    );
    check(
        &["-o", "junit", "-p", "junit"],
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"junit\" tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\">\n    <testcase classname=\"junit|j.xml\" name=\"works\"/>\n    <testcase classname=\"junit|j.xml\" name=\"breaks\"><failure type=\"failed\" message=\"first line\">first line&#10;second</failure></testcase>\n    <testcase classname=\"junit|j.xml\" name=\"later\"><skipped/></testcase>\n  </testsuite>\n</testsuites>\n",
    );
}

/// BUG 43: archives of the first versions do not list their plugins, and plugins had other names.
#[test]
fn an_archive_without_a_list_of_plugins_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let run = directory.path().join("run/plugins/systemd_logs");
    fs_err::create_dir_all(&run).unwrap();
    fs_err::write(
        run.join("sonobuoy_results.yaml"),
        "name: systemd_logs\nstatus: passed\nitems:\n- name: n1\n  status: passed\n",
    )
    .unwrap();
    let finished = sono(directory.path(), &["results", "run"]);
    assert_eq!(
        (finished.code, finished.stdout.as_str(), finished.stderr.as_str()),
        (
            0,
            "Plugin: systemd_logs\nStatus: passed\nTotal: 1\nPassed: 1\nFailed: 0\nSkipped: 0\n",
            ""
        )
    );
    assert_eq!(
        sono(directory.path(), &["results", "run", "--name", "("]).code,
        1,
        "a bad expression is an error"
    );
}

/// A small archive must not exhaust memory.
#[test]
fn results_beyond_the_limits_require_a_flag() {
    let directory = tempfile::tempdir().unwrap();
    let pack = |name: &str, files: &[(&str, &[u8])]| {
        let archive = fs_err::File::create(directory.path().join(name)).unwrap();
        let gzip = flate2::write::GzEncoder::new(archive, flate2::Compression::fast());
        let mut tar = tar::Builder::new(gzip);
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, *content).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
    };
    let info = ("meta/info.json", br#"{"plugins":["p"]}"#.as_slice());
    let file = "plugins/p/sonobuoy_results.yaml";
    let health = vec![b' '; (64 << 20) + 1];
    pack("health.tar.gz", &[("meta/clusterhealth.json", &health), info]);
    let items = format!(
        "name: p\nstatus: passed\nitems:\n{}",
        "- name: a\n  status: passed\n".repeat(1_000_001)
    );
    pack("items.tar.gz", &[info, (file, items.as_bytes())]);
    let comment = ["#".repeat(1 << 20).as_str(), "\n"].concat().repeat(256);
    let long = format!("{comment}name: p\nstatus: passed\nitems: []\n");
    pack("long.tar.gz", &[info, (file, long.as_bytes())]);
    for (archive, what, cause) in [
        (
            "health.tar.gz",
            "meta/clusterhealth.json",
            "the file is larger than 67108864 bytes",
        ),
        ("long.tar.gz", file, "the file is larger than 268435456 bytes"),
    ] {
        let refused = format!(
            "error: cannot read \"{what}\" in {archive}\n  cause: {cause}\n  hint:  to read it without limits: --no-limits\n"
        );
        assert_eq!(sono(directory.path(), &["results", archive]), failure(&refused));
    }
    // Post-processing writes more than that.
    let read = sono(directory.path(), &["results", "items.tar.gz"]);
    assert_eq!((read.code, read.stderr.as_str()), (0, ""));
    assert!(read.stdout.contains("Total: 1000001\n"), "{}", read.stdout);
}
