//! Sources of definitions for `--plugin`, tested with `sono gen`, which loads them like `run`.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    path::Path,
    process::Stdio,
};

use crate::{Finished, command, failure, finished, sono};

pub(crate) const PLUGIN: &str =
    "# a comment\nsonobuoy-config:\n  driver: Job\n  plugin-name: mine\nspec:\n  image: i\n  name: c\n";

/// Starts a server that sends the next response to each request. The returned URL ends in `/`.
pub(crate) fn serve(answers: Vec<String>) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 1024];
            while !request.ends_with(b"\r\n\r\n") {
                let read = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..read]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

pub(crate) fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Names of a run's plugins with these values of `--plugin`.
fn names(directory: &Path, plugins: &[&str]) -> Result<Vec<String>, Finished> {
    let mut arguments = vec!["gen", "--kubernetes-version", "v1.37.2"];
    for plugin in plugins {
        arguments.extend(["-p", plugin]);
    }
    let finished = sono(directory, &arguments);
    if finished.code != 0 {
        return Err(finished);
    }
    let names = finished
        .stdout
        .lines()
        .filter_map(|line| line.trim().strip_prefix("plugin-name: "));
    Ok(names.map(str::to_owned).collect())
}

#[test]
fn a_url_may_redirect_and_a_plugin_be_renamed() {
    let directory = tempfile::tempdir().unwrap();
    let target = serve(vec![ok(PLUGIN)]);
    let moved =
        format!("HTTP/1.1 302 Found\r\nlocation: {target}p.yaml\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let first = serve(vec![moved]);
    let address = format!("{}me@1.2/p.yaml@other", first.replace("http://", "http://user:word@"));
    assert_eq!(names(directory.path(), &[&address]), Ok(vec!["other".to_owned()]));
}

#[test]
fn a_url_without_a_plugin_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    let check = |answer: String, expected: &str| {
        let address = serve(vec![answer]);
        let address = format!("{address}p.yaml");
        let finished = names(directory.path(), &[&address]).unwrap_err();
        assert_eq!(finished, failure(&expected.replace("ADDRESS", &address)));
    };
    check(
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned(),
        "error: cannot fetch the plugin `ADDRESS`\n  unexpected HTTP response code 404 Not Found\n  hint:  check the URL; for a local file, pass its path\n",
    );
    check(
        ok("<!DOCTYPE html><html></html>"),
        "error: cannot fetch the plugin `ADDRESS`\n  the response is a web page, not a file\n  hint:  on code hosting sites, use the `Raw` URL\n",
    );
    check(
        ok("sonobuoy-config: {driver: Job, plugin-name: a}\n"),
        "error: plugin definition `ADDRESS` has a problem\n  ADDRESS:1:1   spec is missing: the plugin's container\n",
    );
    check(
        ok(&"#".repeat(1024 * 1024 + 1)),
        "error: cannot fetch the plugin `ADDRESS`\n  the definition exceeds 1024 KiB, the size limit of a ConfigMap\n",
    );
    let closed = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    assert_eq!(
        names(directory.path(), &[&format!("http://{closed}/p.yaml")]).unwrap_err(),
        failure(&format!(
            "error: cannot fetch the plugin `http://{closed}/p.yaml`\n  cause: Connection refused (os error 111)\n  hint:  if this machine cannot reach the URL, download the file elsewhere and pass its path\n"
        ))
    );
    assert_eq!(
        names(directory.path(), &["ftp://host/p.yaml"]).unwrap_err(),
        failure(
            "error: cannot fetch the plugin `ftp://host/p.yaml`\n  unsupported scheme `ftp`; one of https, http, oci\n  hint:  download the file and pass its path\n"
        )
    );
}

#[test]
fn standard_input_is_a_source() {
    let directory = tempfile::tempdir().unwrap();
    let run = |text: &str| {
        let mut child = command(directory.path())
            .args(["gen", "--kubernetes-version", "v1.37.2", "--plugin=-@other"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        finished(&child.wait_with_output().unwrap())
    };
    let found = run(PLUGIN);
    assert!(found.stdout.contains("plugin-name: other"), "{}", found.stderr);
    assert_eq!(run(" \n"), failure("error: standard input contains no plugin\n"));
}

#[test]
fn installed_plugins_take_precedence_and_can_be_excluded() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    assert_eq!(names(here, &["e2e"]), Ok(vec!["e2e".to_owned()]));
    // Searching does not create the directory, unlike in Sonobuoy.
    assert!(!here.join(".sonobuoy").exists());

    fs_err::create_dir_all(here.join(".sonobuoy/sub")).unwrap();
    fs_err::write(here.join(".sonobuoy/e2e.yaml"), PLUGIN).unwrap();
    fs_err::write(here.join(".sonobuoy/sub/foo.yaml"), PLUGIN.replace("mine", "foo")).unwrap();
    let shadowed = sono(here, &["gen", "--kubernetes-version", "v1.37.2", "-p", "e2e"]);
    assert_eq!(
        shadowed.stderr,
        format!(
            "note: plugin `e2e` is the installed {}, not the built-in one\n",
            here.join(".sonobuoy/e2e.yaml").display()
        )
    );
    // In the order of the ConfigMap.
    let both = names(here, &["e2e", "sub/foo@bar"]);
    assert_eq!(both, Ok(vec!["bar".to_owned(), "mine".to_owned()]));
    let without = command(here)
        .env("SONOBUOY_PLUGIN_INSTALLATION", "false")
        .args(["gen", "--kubernetes-version", "v1.37.2", "-p", "e2e"])
        .output()
        .unwrap();
    assert!(finished(&without).stdout.contains("plugin-name: e2e"));
    assert_eq!(
        names(here, &["typo"]).unwrap_err(),
        failure(
            "error: plugin `typo` not found: no such file or directory\n  hint:  built-in plugins: e2e, host-check, systemd-logs; installed: e2e, sub/foo\n"
        )
    );
}

/// BUG 39: names that contain `@`, and plugins that cannot be renamed.
#[test]
fn renaming_uses_the_last_at_sign_and_reports_errors() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    fs_err::create_dir_all(here.join("me@home")).unwrap();
    fs_err::write(here.join("me@home/p.yaml"), PLUGIN).unwrap();
    let found = names(here, &["me@home/p.yaml", "me@home/p.yaml@two"]);
    assert_eq!(found, Ok(vec!["mine".to_owned(), "two".to_owned()]));
    assert_eq!(
        names(here, &["e2e@other"]).unwrap_err(),
        failure(
            "error: the built-in plugin `e2e` cannot be renamed\n  hint:  only plugins from a file, a URL or a registry can be renamed\n"
        )
    );
    assert_eq!(
        names(here, &["./me@home@other"]).unwrap_err(),
        failure("error: `./me@home` is a directory: only single plugins can be renamed\n")
    );
}

/// A definition becomes code in the cluster.
#[test]
fn plugin_from_plain_http_beyond_this_machine_requires_a_flag() {
    let directory = tempfile::tempdir().unwrap();
    let address = "http://plugins.invalid/p.yaml";
    let refused = format!(
        "error: cannot fetch the plugin `{address}`\n  anyone on the network path can change a plugin that is sent over plain http\n  hint:  use an https URL, or --allow-http to fetch it anyway\n"
    );
    let warning =
        format!("warning: fetching `{address}` over plain http, which anyone on the network path can change\n");
    let version = "--kubernetes-version=v1.37.2";
    let commands: [&[&str]; 5] = [
        &["gen", version, "-p", address],
        &["run", "--local", "-p", address],
        &["plugin", "install", "mine", address],
        &["plugin", "lint", address],
        &["images", "list", version, "-p", address],
    ];
    let old = directory.path().join("sonobuoy");
    fs_err::os::unix::fs::symlink(assert_cmd::cargo::cargo_bin!("sono"), &old).unwrap();
    for arguments in commands {
        assert_eq!(sono(directory.path(), arguments), failure(&refused), "{arguments:?}");
        let allowed = sono(directory.path(), &[arguments, &["--allow-http"]].concat());
        let as_sonobuoy = std::process::Command::new(&old)
            .current_dir(directory.path())
            .env_clear()
            .env("HOME", directory.path())
            .args(arguments)
            .output()
            .unwrap();
        for finished in [allowed, finished(&as_sonobuoy)] {
            assert!(
                finished.stderr.starts_with(&warning),
                "{arguments:?}: {}",
                finished.stderr
            );
            // The host does not exist.
            assert_eq!(finished.code, 1, "{arguments:?}");
        }
    }
}

#[test]
fn plugin_redirected_to_plain_http_elsewhere_is_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let moved = "HTTP/1.1 302 Found\r\nlocation: http://plugins.invalid/p.yaml\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let address = format!("{}p.yaml", serve(vec![moved.to_owned()]));
    assert_eq!(
        names(directory.path(), &[&address]).unwrap_err(),
        failure(&format!(
            "error: cannot fetch the plugin `{address}`\n  cause: redirected to another machine over plain http, which requires --allow-http\n  hint:  if this machine cannot reach the URL, download the file elsewhere and pass its path\n"
        ))
    );
}

#[test]
fn plugin_with_another_digest_is_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    fs_err::write(here.join("p.yaml"), PLUGIN).unwrap();
    let right = sono_testkit::digest(PLUGIN.as_bytes());
    let wrong = "0".repeat(64);
    let fetched = |arguments: &[&str]| {
        let address = format!("{}p.yaml", serve(vec![ok(PLUGIN)]));
        let arguments: Vec<String> = arguments.iter().map(|word| word.replace("URL", &address)).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let finished = sono(here, &arguments);
        (finished.code, finished.stderr.replace(&address, "URL"))
    };
    let digits = right.trim_start_matches("sha256:");
    let refused = |file: &str| {
        format!(
            "error: the SHA-256 of plugin `{file}` differs from --sha256\n  expected {wrong}\n  found    {digits}\n  hint:  review the definition before you trust its new digest\n"
        )
    };
    let version = "--kubernetes-version=v1.37.2";
    for digest in [right.as_str(), digits, &digits.to_uppercase()] {
        assert_eq!(
            fetched(&["gen", version, "-p", "URL", "--sha256", digest]),
            (0, String::new())
        );
    }
    assert_eq!(
        fetched(&["gen", version, "-p", "URL", "--sha256", &wrong, "--sha256", digits]),
        (0, String::new())
    );
    assert_eq!(
        fetched(&["gen", version, "-p", "URL", "--sha256", &wrong]),
        (1, refused("URL"))
    );
    let installed = |source: &str| fetched(&["plugin", "install", "mine", source, "--sha256", &wrong]);
    assert_eq!(installed("URL"), (1, refused("URL")));
    assert_eq!(installed("p.yaml"), (1, refused("p.yaml")));
    assert!(!here.join(".sonobuoy").exists());
    assert_eq!(
        fetched(&["gen", version, "-p", "e2e", "--sha256", &wrong]),
        (
            1,
            "error: --sha256 requires a plugin from a URL\n  hint:  add --plugin https://…\n".to_owned()
        )
    );
    assert_eq!(fetched(&["gen", "-p", "URL", "--sha256", "abc"]).0, 1);
}

/// Names in a definition become file names of a local run.
#[test]
fn plugin_with_a_path_as_a_name_writes_no_files_in_a_local_run() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let outside = here.join("owned").display().to_string();
    let plugin = |config_map: &str, container: &str| {
        format!(
            "sonobuoy-config: {{driver: Job, plugin-name: p}}\nconfig-map: {{{config_map}}}\nspec: {{name: '{container}', image: i, command: ['true']}}\n"
        )
    };
    for text in [plugin(&format!("'{outside}': x"), "c"), plugin("", &outside)] {
        fs_err::write(here.join("p.yaml"), text).unwrap();
        let finished = sono(
            here,
            &["run", "--local", "--exit-code", "--timeout", "20", "-p", "p.yaml"],
        );
        assert_ne!(finished.code, 0, "{finished:?}");
        assert!(
            !here.join("owned").exists() && !here.join("owned.txt").exists(),
            "{finished:?}"
        );
    }
}
