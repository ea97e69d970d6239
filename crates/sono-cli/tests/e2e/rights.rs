//! Permissions of plugins in each mode, and runs of the examples in all modes.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::{
    harness::{Run, kubectl, kubectl_program, text},
    namespaces::Namespace,
    trouble::running_pod,
};

/// All modes, with their name, and whether the run creates its namespace.
const MODES: [(&str, &str, bool); 4] = [
    ("clusterAdmin", "cluster-admin", true),
    ("clusterRead", "cluster-read", false),
    ("namespaceAdmin", "namespace-admin", false),
    ("minimal", "minimal", false),
];
/// Bytes of a program that are sent by one exec.
const CHUNK_BYTES: usize = 2 << 20;
/// Prefix of the control rows, which show that the other rows are meaningful.
const CONTROL: &str = "control: ";

/// The `kubectl` program for the plugin's container.
fn kubectl_file() -> PathBuf {
    let program = PathBuf::from(kubectl_program());
    if program.components().count() > 1 {
        return program;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|directory| directory.join(&program));
    found.find(|file| file.is_file()).expect("kubectl is installed")
}

/// Runs a script in the plugin's container with this input.
fn exec_with_input(namespace: &str, pod: &str, script: &str, input: &[u8]) -> Output {
    let mut child = Command::new(kubectl_program())
        .args([
            "-n", namespace, "exec", "-i", pod, "-c", "plugin", "--", "sh", "-c", script,
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl starts");
    // An interrupted exec accepts no more input; its exit status reports it.
    child.stdin.take().expect("a pipe").write_all(input).ok();
    child.wait_with_output().expect("kubectl ends")
}

/// Copies a program into a running container in chunks, because an exec with tens of megabytes may be interrupted.
fn put_program(namespace: &str, pod: &str, file: &Path, to: &str) {
    let content = fs_err::read(file).expect("kubectl is readable");
    let chunks = content.chunks(CHUNK_BYTES);
    let last = chunks.len();
    for (number, piece) in chunks.enumerate() {
        let script = format!("cat > {to}.{number:03} && wc -c < {to}.{number:03}");
        let mut attempts = (0..5).map(|_| exec_with_input(namespace, pod, &script, piece));
        let written = |output: &Output| {
            let text = String::from_utf8_lossy(&output.stdout);
            output.status.success() && text.trim() == piece.len().to_string()
        };
        assert!(
            attempts.any(|output| written(&output)),
            "piece {number} of {last} of {}",
            file.display()
        );
    }
    let script = format!("cat {to}.[0-9]* > {to}.new && rm {to}.[0-9]* && chmod 755 {to}.new && mv {to}.new {to}");
    let output = exec_with_input(namespace, pod, &script, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Requests of the attacker in this mode, and their response codes.
fn attack(mode: &str, folder: &str) -> Vec<(String, String)> {
    let name = format!("attack-{folder}");
    let namespace = Namespace::new(&format!("e2e-{name}"));
    let flags = ["--aggregator-permissions", mode, "--timeout", "300"];
    let mut run = Run::detached(&name, &["attacker"], &flags);
    let pod = running_pod(&run, "attacker");
    // The pod is running as soon as one of its containers is.
    kubectl(&[
        "-n",
        run.namespace(),
        "wait",
        "pod",
        &pod,
        "--for=condition=Ready",
        "--timeout=60s",
    ]);
    put_program(run.namespace(), &pod, &kubectl_file(), "/tools/kubectl");
    run.finish();
    let table = run.file("plugins/attacker/results/global/table.txt");
    let row = |line: &str| {
        let (code, request) = line.split_once(' ').expect("a code and a request");
        (request.to_owned(), code.to_owned())
    };
    let rows = table.lines().map(row).collect();
    drop(run);
    drop(namespace);
    rows
}

/// A plugin that requests a token of the run's account by its usual name only gets the read access of the mode.
#[test]
fn a_plugin_cannot_take_over_the_cluster_outside_of_cluster_admin() {
    let modes = &MODES[1..];
    let answers: Vec<Vec<(String, String)>> = modes.iter().map(|(mode, folder, _)| attack(mode, folder)).collect();
    let requests: Vec<&String> = answers[0].iter().map(|(request, _)| request).collect();
    let names: Vec<&str> = modes.iter().map(|(mode, ..)| *mode).collect();
    println!("| request | {} |", names.join(" | "));
    println!("|---|---|---|---|");
    for (row, request) in requests.iter().enumerate() {
        let codes: Vec<&str> = answers.iter().map(|mode| mode[row].1.as_str()).collect();
        println!("| {request} | {} |", codes.join(" | "));
    }
    let attacks = requests.iter().filter(|request| !request.starts_with(CONTROL)).count();
    assert!(attacks >= 20, "{attacks} attacks");
    let controls = |pods: &str, nodes: &str| {
        BTreeMap::from(
            [
                ("version", "200"),
                ("list pods of the namespace", pods),
                ("list nodes", nodes),
            ]
            .map(|(request, code)| (format!("{CONTROL}{request}"), code.to_owned())),
        )
    };
    let expected = [controls("200", "200"), controls("200", "403"), controls("403", "403")];
    for (((mode, ..), rows), expected) in modes.iter().zip(&answers).zip(expected) {
        let (controls, attacks): (BTreeMap<String, String>, BTreeMap<String, String>) = rows
            .iter()
            .cloned()
            .partition(|(request, _)| request.starts_with(CONTROL));
        assert_eq!(controls, expected, "{mode}");
        let allowed: Vec<_> = attacks.iter().filter(|(_, code)| *code != "403").collect();
        assert!(allowed.is_empty(), "{mode}: {allowed:?}");
    }
}

/// The plugin without a done file ends, too, although its pod has no access to pods in `minimal`.
#[test]
fn every_example_passes_in_every_mode() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples");
    let files = fs_err::read_dir(folder).expect("examples");
    let mut files: Vec<String> = files
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| format!("builtin:{}", path.display()))
        .collect();
    files.sort();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    assert_eq!(files.len(), 8, "{files:?}");
    for (mode, folder, makes_namespace) in MODES {
        let name = format!("examples-{folder}");
        let namespace = (!makes_namespace).then(|| Namespace::new(&format!("e2e-{name}")));
        let flags = ["--aggregator-permissions", mode, "--timeout", "240", "--wait=10"];
        let run = Run::start(&name, &files, &flags);
        let status = run.status();
        let rows = status["plugins"].as_array().cloned().unwrap_or_default();
        let mut plugins = std::collections::BTreeSet::new();
        for row in &rows {
            let plugin = text(row, "/plugin");
            assert_eq!(text(row, "/status"), "complete", "{mode}: {row}");
            // One item of this example requires a manual check.
            if plugin != "manual-example" {
                assert_eq!(text(row, "/result-status"), "passed", "{mode}: {row}");
            }
            plugins.insert(plugin);
        }
        assert_eq!(plugins.len(), files.len(), "{mode}: {plugins:?}");
        let note = run.file("plugins/no-done-example/results/global/note.txt");
        assert_eq!(note, "no done file was needed\n", "{mode}");
        let manual = run.results("manual-example").to_string();
        assert!(
            manual.contains("to-review") && !manual.contains("failed"),
            "{mode}: {manual}"
        );
        println!("{mode}: {} examples, {} results", plugins.len(), rows.len());
        drop(run);
        drop(namespace);
    }
}
