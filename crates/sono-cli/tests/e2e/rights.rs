//! What plugins may do in each permission mode, and that the examples run in all of them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    harness::{Run, kubectl, kubectl_program, text},
    namespaces::Namespace,
    trouble::running_pod,
};

/// All modes, with whether the run makes its namespace.
const MODES: [(&str, &str, bool); 4] = [
    ("clusterAdmin", "cluster-admin", true),
    ("clusterRead", "cluster-read", false),
    ("namespaceAdmin", "namespace-admin", false),
    ("minimal", "minimal", false),
];
/// Beginning of the rows that say whether the others mean anything.
const CONTROL: &str = "control: ";

/// The program itself, which goes into the plugin's container.
fn kubectl_file() -> PathBuf {
    let program = PathBuf::from(kubectl_program());
    if program.components().count() > 1 {
        return program;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|directory| directory.join(&program));
    found.find(|file| file.is_file()).expect("kubectl is installed")
}

/// Puts a program into a running container.
fn put_program(namespace: &str, pod: &str, file: &Path, to: &str) {
    let script = format!("cat > {to}.new && chmod 755 {to}.new && mv {to}.new {to}");
    let status = Command::new(kubectl_program())
        .args([
            "-n", namespace, "exec", "-i", pod, "-c", "plugin", "--", "sh", "-c", &script,
        ])
        .stdin(Stdio::from(
            fs_err::File::open(file).expect("kubectl is readable").into_parts().0,
        ))
        .status()
        .expect("kubectl starts");
    assert!(status.success(), "copying {} into {pod}: {status}", file.display());
}

/// Request and code of every answer that the attacker got in that mode.
fn attack(mode: &str, folder: &str) -> Vec<(String, String)> {
    let name = format!("attack-{folder}");
    let namespace = Namespace::new(&format!("e2e-{name}"));
    let flags = ["--aggregator-permissions", mode, "--timeout", "300"];
    let mut run = Run::detached(&name, &["attacker"], &flags);
    let pod = running_pod(&run, "attacker");
    // The pod runs as soon as one of its containers does.
    kubectl(&[
        "-n",
        run.namespace(),
        "wait",
        "pod",
        &pod,
        "--for=condition=Ready",
        "--timeout=60s",
    ]);
    put_program(run.namespace(), &pod, &kubectl_file(), "/kubectl");
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

/// A plugin that asks for a token of the run's account, by the name that it has always had, can do nothing with it but
/// what the mode lets it read.
#[test]
#[ignore = "kubectl exec breaks off while it copies kubectl into the plugin (seen twice): copy it another way"]
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

/// The plugin that leaves no done file ends too, although nothing in its pod may look at pods in `minimal`.
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
            // One item of this example is for a person to judge.
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
