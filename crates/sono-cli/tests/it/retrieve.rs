//! `sono retrieve` with a hostile cluster that chooses names, sizes and contents.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Value, json};
use sono_testkit::{Executed, FakeApi};

use crate::{Finished, command, finished};

const ARCHIVE: &str = "202601010000_sonobuoy_u.tar.gz";
/// Message with the chosen run.
const RUN_MESSAGE: &str = "run u in namespace sonobuoy\n";

/// A `.tar.gz` with these files.
pub(crate) fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o777);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, *content).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

pub(crate) fn run(verdict: &str) -> Vec<u8> {
    packed(&[
        ("meta/config.json", b"{}"),
        ("plugins/p/sonobuoy_results.yaml", verdict.as_bytes()),
    ])
}

/// A complete run with an archive of this name and content.
fn complete(name: &str, archive: &[u8]) -> FakeApi {
    let sha256 = sono_testkit::digest(archive);
    announcing(&json!({"name": name, "created": "2026-01-01T00:00:00Z",
        "sha256": sha256.trim_start_matches("sha256:"), "size": archive.len()}))
}

fn announcing(archive: &Value) -> FakeApi {
    let api = FakeApi::start();
    let status = json!({"plugins": [], "status": "complete", "tar-info": archive});
    put_aggregator(&api, Some(&status));
    api
}

fn put_aggregator(api: &FakeApi, status: Option<&Value>) {
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sonobuoy"}}));
    let annotations: BTreeMap<&str, String> = status
        .map(|status| ("sonobuoy.hept.io/status", status.to_string()))
        .into_iter()
        .collect();
    api.put(json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "sonobuoy", "namespace": "sonobuoy", "annotations": annotations,
            "labels": {"component": "sonobuoy", "sonobuoy-component": "aggregator"}},
        "spec": {"nodeName": "node1", "containers": [{"name": "kube-sonobuoy", "image": "i"}]},
        "status": {"phase": "Running"}}));
}

/// Makes the API send ranges of `archive` for any file name.
pub(crate) fn send_file(api: &FakeApi, archive: Vec<u8>) {
    api.put_exec("sonobuoy", "sonobuoy", move |command| {
        let offset = command.iter().skip_while(|word| *word != "--offset").nth(1);
        let offset: usize = offset.map_or(0, |offset| offset.parse().unwrap());
        Executed {
            stdout: archive[offset..].to_vec(),
            ..Executed::default()
        }
    });
}

/// Makes the API send archives like aggregators that do not support ranges.
fn send_all(api: &FakeApi, archives: &[(&str, &[u8])]) {
    let stream = packed(archives);
    api.put_exec("sonobuoy", "sonobuoy", move |command| {
        if command.iter().any(|word| word == "--file") {
            return Executed {
                stderr: "unknown flag: --file".to_owned(),
                code: 1,
                ..Executed::default()
            };
        }
        Executed {
            stdout: stream.clone(),
            ..Executed::default()
        }
    });
}

/// A directory `inner` in a parent directory, which is compared, too.
struct Workdir(tempfile::TempDir);

impl Workdir {
    fn new() -> Self {
        let workdir = Self(tempfile::tempdir().unwrap());
        fs_err::create_dir(workdir.inner()).unwrap();
        workdir
    }

    fn inner(&self) -> std::path::PathBuf {
        self.0.path().join("inner")
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.inner().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }

    fn sono(&self, api: &FakeApi, arguments: &[&str]) -> Finished {
        let directory = tempfile::tempdir().unwrap();
        let kubeconfig = api.write_kubeconfig(directory.path());
        let mut command = command(&self.inner());
        command.env("KUBECONFIG", kubeconfig).args(arguments);
        let ran = finished(&command.output().unwrap());
        Finished {
            stderr: ran.stderr.replace(api.url(), "URL"),
            ..ran
        }
    }

    /// All files by name, without the prefix `inner/`; directories and links with their kind.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        collect(self.0.path(), self.0.path(), &mut found);
        found
            .into_iter()
            .map(|(name, content)| (name.strip_prefix("inner/").unwrap_or(&name).to_owned(), content))
            .collect()
    }
}

fn collect(root: &Path, directory: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs_err::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let kind = fs_err::symlink_metadata(&path).unwrap();
        if kind.is_symlink() {
            found.insert(
                format!("{name} -> {}", fs_err::read_link(path).unwrap().display()),
                Vec::new(),
            );
        } else if kind.is_dir() {
            collect(root, &path, found);
        } else {
            found.insert(name, fs_err::read(path).unwrap());
        }
    }
}

fn files(named: &[(&str, &[u8])]) -> BTreeMap<String, Vec<u8>> {
    named
        .iter()
        .map(|(name, content)| ((*name).to_owned(), content.to_vec()))
        .collect()
}

const HOSTILE: [&str; 8] = [
    "../outside.tar.gz",
    "/../../../../tmp/outside.tar.gz",
    "sub/a.tar.gz",
    ".bashrc",
    ".hidden.tar.gz",
    "Makefile",
    "-x.tar.gz",
    "a\u{1b}[2J.tar.gz",
];

/// Hostile names in the status annotation.
#[test]
fn retrieve_hostile_name_in_the_status_writes_no_files() {
    for name in HOSTILE {
        let api = complete(name, &run("passed"));
        send_file(&api, run("passed"));
        let workdir = Workdir::new();
        workdir.write("Makefile", b"all:");
        let ran = workdir.sono(&api, &["retrieve"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{name}: {}", ran.stderr);
        assert!(
            ran.stderr
                .starts_with("error: cannot retrieve the results: the archive name from the cluster is invalid\n"),
            "{name}: {}",
            ran.stderr
        );
        assert!(!ran.stderr.contains('\u{1b}'));
        assert_eq!(workdir.files(), files(&[("Makefile", b"all:")]), "{name}");
        assert!(
            !api.requests().iter().any(|request| request.contains("/exec")),
            "{name}"
        );
    }
}

/// Hostile names in the stream of archives.
#[test]
fn retrieve_hostile_name_in_the_stream_writes_no_files() {
    for name in HOSTILE {
        let api = FakeApi::start();
        put_aggregator(&api, None);
        send_all(&api, &[(ARCHIVE, &run("passed")), (name, &run("passed"))]);
        let workdir = Workdir::new();
        workdir.write("Makefile", b"all:");
        let ran = workdir.sono(&api, &["retrieve"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{name}: {}", ran.stderr);
        assert!(!ran.stderr.contains('\u{1b}'));
        assert_eq!(
            workdir.files(),
            files(&[("Makefile", b"all:")]),
            "{name}: {}",
            ran.stderr
        );
    }
}

/// Hostile names in headers of the aggregator's listener.
#[test]
fn retrieve_partial_hostile_name_in_a_header_writes_no_files() {
    let partial = run("running");
    let answered = |disposition: String| {
        let api = FakeApi::start();
        let running = json!({"plugins": [], "status": "running",
            "tar-info": {"name": "", "created": "0001-01-01T00:00:00Z", "sha256": "", "size": 0}});
        put_aggregator(&api, Some(&running));
        let partial = partial.clone();
        api.put_port("sonobuoy", "sonobuoy", move |_| {
            let length = partial.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{disposition}connection: close\r\n\r\n");
            [head.into_bytes(), partial.clone()].concat()
        });
        let workdir = Workdir::new();
        workdir.write("Makefile", b"all:");
        let ran = workdir.sono(&api, &["retrieve", "--partial"]);
        (ran, workdir.files())
    };
    let named = |name: &str| format!("content-disposition: attachment; filename=\"{name}\"\r\n");
    let (ran, found) = answered(named("partial_u.tar.gz"));
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (0, "partial_u.tar.gz\n", "")
    );
    assert_eq!(found, files(&[("Makefile", b"all:"), ("partial_u.tar.gz", &partial)]));
    let (ran, _) = answered(String::new());
    assert_eq!(ran.stdout, "partial.tar.gz\n");
    for name in ["../a.tar.gz", "Makefile", ".bashrc", "a/b.tar.gz", ""] {
        let (ran, found) = answered(named(name));
        assert_eq!(ran.code, 2, "{name}");
        assert_eq!(found, files(&[("Makefile", b"all:")]), "{name}: {}", ran.stderr);
    }
}

/// A name chosen by the cluster may only replace an archive of a run.
#[test]
fn retrieve_over_an_existing_file_replaces_only_archives() {
    let (old, new) = (run("failed"), run("passed"));
    let backup = packed(&[("home/me/notes", b"mine")]);
    for (content, is_replaced) in [
        (&old, true),
        (&backup, false),
        (&b"text".to_vec(), false),
        (&Vec::new(), false),
    ] {
        for by_file in [true, false] {
            let api = complete(ARCHIVE, &new);
            if by_file {
                send_file(&api, new.clone());
            } else {
                send_all(&api, &[(ARCHIVE, &new)]);
            }
            let workdir = Workdir::new();
            workdir.write(ARCHIVE, content);
            let ran = workdir.sono(&api, &["retrieve"]);
            let expected = if is_replaced { &new } else { content };
            assert_eq!(workdir.files(), files(&[(ARCHIVE, expected)]), "{}", ran.stderr);
            let error = format!(
                "error: cannot retrieve the results: cannot write `{ARCHIVE}`\n  cause: the existing file is not an archive of a run\n  hint:  choose another name with --filename, or another directory\n"
            );
            let ran = (ran.code, ran.stdout, ran.stderr);
            let whole = if is_replaced {
                (0, format!("{ARCHIVE}\n"), RUN_MESSAGE.to_owned())
            } else {
                (2, String::new(), format!("{RUN_MESSAGE}{error}"))
            };
            assert_eq!(ran, whole);
        }
    }
}

#[test]
fn retrieve_filename_replaces_other_files_with_force_only() {
    let (old, new) = (run("failed"), run("passed"));
    let cases: [(&[u8], bool, bool); 5] = [
        (b"", false, true),
        (&old, false, true),
        (b"text", false, false),
        (b"text", true, true),
        (b"", true, true),
    ];
    for (content, force, is_replaced) in cases {
        let api = complete(ARCHIVE, &new);
        send_file(&api, new.clone());
        let workdir = Workdir::new();
        workdir.write("mine.txt", content);
        let mut arguments = vec!["retrieve", "--filename", "mine.txt"];
        arguments.extend(force.then_some("--force"));
        let ran = workdir.sono(&api, &arguments);
        let expected = if is_replaced { new.as_slice() } else { content };
        assert_eq!(workdir.files(), files(&[("mine.txt", expected)]), "{}", ran.stderr);
        if !is_replaced {
            assert_eq!(
                ran.stderr,
                format!(
                    "{RUN_MESSAGE}error: cannot retrieve the results: cannot write `mine.txt`\n  cause: the existing file is not an archive of a run\n  hint:  to replace it: --force\n"
                )
            );
        }
    }
}

/// An archive that does not fit is not fetched.
#[test]
fn retrieve_announced_size_beyond_the_disk_is_rejected_before_the_download() {
    let api = announcing(
        &json!({"name": ARCHIVE, "created": "2026-01-01T00:00:00Z", "sha256": "0a".repeat(32),
        "size": 1_u64 << 60}),
    );
    send_file(&api, run("passed"));
    let workdir = Workdir::new();
    let ran = workdir.sono(&api, &["retrieve"]);
    let error = ran.stderr.lines().nth(1).unwrap_or_default();
    assert_eq!(
        error,
        format!("error: cannot retrieve the results: `{ARCHIVE}` does not fit on the disk")
    );
    assert_eq!((ran.code, workdir.files()), (2, BTreeMap::new()));
    assert!(!api.requests().iter().any(|request| request.contains("/exec")));
}

/// An entry larger than the disk is rejected before it is written.
#[test]
fn retrieve_extract_of_more_than_the_disk_has_leaves_nothing() {
    let mut header = tar::Header::new_gnu();
    header.set_path("meta/run.log").unwrap();
    header.set_size(1 << 60);
    header.set_cksum();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, header.as_bytes()).unwrap();
    let archive = encoder.finish().unwrap();
    let api = complete(ARCHIVE, &archive);
    send_file(&api, archive);
    let workdir = Workdir::new();
    let ran = workdir.sono(&api, &["retrieve", "-x"]);
    assert_eq!((ran.code, workdir.files()), (2, BTreeMap::new()), "{}", ran.stderr);
    assert!(
        ran.stderr.ends_with("  hint:  to extract it anyway: --no-limits\n"),
        "{}",
        ran.stderr
    );
}

/// A high compression ratio alone is accepted.
#[test]
fn retrieve_extract_of_well_compressed_files_works() {
    let zeros = vec![0; 200 << 20];
    let archive = packed(&[("meta/config.json", b"{}"), ("plugins/p/results/global/core", &zeros)]);
    let api = complete(ARCHIVE, &archive);
    send_file(&api, archive);
    let workdir = Workdir::new();
    let ran = workdir.sono(&api, &["retrieve", "-x"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, RUN_MESSAGE));
    assert_eq!(workdir.files()["plugins/p/results/global/core"].len(), zeros.len());
}

/// Case 13: scripts extract repeatedly.
#[test]
fn retrieve_extract_into_a_used_directory_replaces_files_of_the_archive_only() {
    let workdir = Workdir::new();
    workdir.write("notes.txt", b"mine");
    workdir.write("plugins/mine.yaml", b"mine");
    workdir.write("podlogs/old/log.txt", b"old");
    for verdict in ["failed", "passed", "passed"] {
        let archive = run(verdict);
        let api = complete(ARCHIVE, &archive);
        send_file(&api, archive);
        let ran = workdir.sono(&api, &["retrieve", "-x"]);
        assert_eq!(
            (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
            (0, "", RUN_MESSAGE)
        );
        let expected = files(&[
            ("meta/config.json", b"{}"),
            ("notes.txt", b"mine"),
            ("plugins/mine.yaml", b"mine"),
            ("plugins/p/sonobuoy_results.yaml", verdict.as_bytes()),
            ("podlogs/old/log.txt", b"old"),
        ]);
        assert_eq!(workdir.files(), expected);
    }
}

#[test]
fn retrieve_extract_of_other_names_into_a_used_directory_changes_nothing() {
    for name in [
        ".bashrc",
        ".git/config",
        "Makefile",
        "notes.txt",
        "meta",
        "plugins/p",
        "metadata/x",
    ] {
        let archive = packed(&[("meta/config.json", b"{}"), (name, b"evil"), ("resources/x", b"{}")]);
        let api = complete(ARCHIVE, &archive);
        send_file(&api, archive);
        let workdir = Workdir::new();
        workdir.write("notes.txt", b"mine");
        workdir.write("plugins/p/mine", b"mine");
        let before = workdir.files();
        let ran = workdir.sono(&api, &["retrieve", "-x"]);
        assert_eq!((ran.code, workdir.files()), (2, before), "{name}: {}", ran.stderr);
    }
}

#[cfg(unix)]
#[test]
fn retrieve_extract_over_symbolic_links_changes_nothing() {
    let archive = run("passed");
    for link in ["plugins", "plugins/p", "plugins/p/sonobuoy_results.yaml", "meta"] {
        let api = complete(ARCHIVE, &archive);
        send_file(&api, archive.clone());
        let workdir = Workdir::new();
        let outside = workdir.0.path().join("outside");
        fs_err::create_dir(&outside).unwrap();
        fs_err::write(outside.join("sonobuoy_results.yaml"), "mine").unwrap();
        let path = workdir.inner().join(link);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&outside, &path).unwrap();
        let before = workdir.files();
        let ran = workdir.sono(&api, &["retrieve", "-x"]);
        assert_eq!((ran.code, workdir.files()), (2, before), "{link}");
        assert!(
            ran.stderr.contains(&format!("`{link}` is a symbolic link")),
            "{}",
            ran.stderr
        );
    }
}

/// Data of a cluster is readable only by this user.
#[cfg(unix)]
#[test]
fn retrieve_creates_private_files_and_directories() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
    let archive = run("passed");
    for by_file in [true, false] {
        let api = complete(ARCHIVE, &archive);
        if by_file {
            send_file(&api, archive.clone());
        } else {
            send_all(&api, &[(ARCHIVE, &archive)]);
        }
        let workdir = Workdir::new();
        assert_eq!(workdir.sono(&api, &["retrieve", "new/workdir"]).code, 0);
        assert_eq!(workdir.sono(&api, &["retrieve", "-x", "tree"]).code, 0);
        let at = |name: &str| mode(&workdir.inner().join(name));
        let archive = format!("new/workdir/{ARCHIVE}");
        for directory in [
            "new",
            "new/workdir",
            "tree",
            "tree/plugins",
            "tree/plugins/p",
            "tree/meta",
        ] {
            assert_eq!(at(directory), 0o700, "{directory}");
        }
        for file in [
            &archive,
            "tree/meta/config.json",
            "tree/plugins/p/sonobuoy_results.yaml",
        ] {
            assert_eq!(at(file), 0o600, "{file}");
        }
    }
}
