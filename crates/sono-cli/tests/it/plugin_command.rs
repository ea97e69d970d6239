//! `sono plugin`.

use sono_testkit::{Contents, FakeRegistry};

use crate::{
    Finished, command, failure, finished,
    plugins::{PLUGIN, ok, serve},
    sono, success,
};

/// The digest line of `plugin install` for [`PLUGIN`].
static DIGEST: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
    let digest = sono_testkit::digest(PLUGIN.as_bytes());
    format!("SHA-256 of the source: {}\n", digest.trim_start_matches("sha256:"))
});

/// BUG 52: files are not overwritten silently, the message has the plugin's name, and comments are preserved.
#[test]
fn a_plugin_is_installed_listed_shown_and_uninstalled() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let home = here.to_str().unwrap();
    fs_err::write(here.join("p.yaml"), PLUGIN).unwrap();
    assert_eq!(sono(here, &["plugin", "list"]), success("", ""));
    assert_eq!(
        sono(here, &["plugin", "install", "sub/foo", "p.yaml"]),
        success(
            &format!("Installed plugin mine into file {home}/.sonobuoy/sub/foo.yaml from source p.yaml\n"),
            &DIGEST
        )
    );
    let text = fs_err::read_to_string(here.join(".sonobuoy/sub/foo.yaml")).unwrap();
    assert_eq!(text, PLUGIN);
    assert_eq!(
        sono(here, &["plugin", "install", "sub/foo", "p.yaml"]),
        failure(&format!(
            "error: plugin `sub/foo` is already installed: {home}/.sonobuoy/sub/foo.yaml\n  hint:  to replace it: --force\n"
        ))
    );
    let replaced = sono(here, &["plugins", "install", "sub/foo", "p.yaml@other", "--force"]);
    assert_eq!(replaced.code, 0, "{}", replaced.stderr);
    assert_eq!(
        sono(here, &["plugin", "show", "sub/foo"]),
        success(
            "sonobuoy-config:\n  driver: Job\n  plugin-name: other\nspec:\n  image: i\n  name: c\n\n",
            ""
        )
    );

    fs_err::write(here.join(".sonobuoy/broken.yaml"), "a: [").unwrap();
    let described = PLUGIN.replace(
        "  driver",
        "  description: What it does.\n  source-url: foo.com\n  driver",
    );
    fs_err::write(here.join(".sonobuoy/all.yaml"), described).unwrap();
    let listed = sono(here, &["plugin", "list"]);
    assert_eq!(
        (listed.code, listed.stdout.replace(home, "HOME").as_str()),
        (
            0,
            "Run as: all\nFilename: HOME/.sonobuoy/all.yaml\nPlugin name (in aggregator): mine\nSource URL: foo.com\nDescription: What it does.\n\
             ---\n\
             Run as: sub/foo\nFilename: HOME/.sonobuoy/sub/foo.yaml\nPlugin name (in aggregator): other\nSource URL: \nDescription: \n"
        )
    );
    assert!(listed.stderr.starts_with("warning: "), "{}", listed.stderr);

    assert_eq!(
        sono(here, &["plugin", "uninstall", "sub/foo"]),
        success(&format!("Uninstalled plugin file {home}/.sonobuoy/sub/foo.yaml\n"), "")
    );
    assert_eq!(
        sono(here, &["plugin", "uninstall", "sub/foo"]),
        failure("error: plugin `sub/foo` is not installed\n  hint:  installed: all, broken\n")
    );
}

/// BUG 52: an invalid file can be uninstalled.
#[test]
fn an_invalid_plugin_can_be_uninstalled() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    fs_err::create_dir(here.join(".sonobuoy")).unwrap();
    fs_err::write(here.join(".sonobuoy/broken.yaml"), "a: [").unwrap();
    assert_eq!(sono(here, &["plugin", "uninstall", "broken"]).code, 0);
    assert!(!here.join(".sonobuoy/broken.yaml").exists());
}

/// BUG 52: invalid plugins are not installed.
#[test]
fn only_one_valid_plugin_is_installed() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    fs_err::create_dir(here.join("two")).unwrap();
    for name in ["a.yaml", "b.yaml"] {
        fs_err::write(here.join("two").join(name), PLUGIN).unwrap();
    }
    fs_err::write(here.join("bad.yaml"), PLUGIN.replace("Job", "Jobb")).unwrap();
    assert_eq!(
        sono(here, &["plugin", "install", "x", "two"]),
        failure("error: may only install one plugin at a time, found 2\n")
    );
    assert_eq!(
        sono(here, &["plugin", "install", "x", "bad.yaml"]),
        failure(
            "error: plugin definition `bad.yaml` has a problem\n  bad.yaml:3:11   unknown driver `Jobb`; expected one of Job, DaemonSet (did you mean Job?)\n"
        )
    );
    assert_eq!(
        sono(here, &["plugin", "install", "../x", "two/a.yaml"]),
        failure("error: cannot install a plugin as `../x`\n  a part of the name begins with `.` or `-`\n")
    );
    assert_eq!(
        sono(here, &["plugin", "install", "x", "e2e"]),
        failure("error: `e2e` is a built-in plugin, which does not need to be installed\n")
    );
    assert!(!here.join(".sonobuoy").exists());
}

#[test]
fn a_plugin_is_installed_from_a_url() {
    let directory = tempfile::tempdir().unwrap();
    let address = format!("{}p.yaml", serve(vec![ok(PLUGIN)]));
    let installed = command(directory.path())
        .env("SONOBUOY_DIR", "plugins")
        .args(["plugin", "install", "foo", &address])
        .output()
        .unwrap();
    assert_eq!(
        finished(&installed),
        success(
            &format!("Installed plugin mine into file plugins/foo.yaml from source {address}\n"),
            &DIGEST
        )
    );
    let text = fs_err::read_to_string(directory.path().join("plugins/foo.yaml")).unwrap();
    assert_eq!(text, PLUGIN);
}

#[tokio::test]
async fn a_plugin_is_installed_from_a_registry() {
    let directory = tempfile::tempdir().unwrap();
    let files = [("README.md", "words"), ("p.yaml", PLUGIN)];
    let contents = Contents::default()
        .with_artifact("plugins/mine", "1", &files)
        .with_artifact("plugins/none", "1", &files[..1]);
    let registry = FakeRegistry::serve(contents).await;
    let install = async |name: &str| {
        let source = format!("oci://{}/plugins/{name}:1", registry.address());
        let mut command = command(directory.path());
        command.args(["plugin", "install", "foo", &source]);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap());
        finished(&output.await.unwrap())
    };
    let nothing = install("none").await;
    assert_eq!(
        nothing.stderr.replace(registry.address(), "REGISTRY"),
        "error: cannot fetch the plugin `oci://REGISTRY/plugins/none:1`\n  cause: REGISTRY/plugins/none:1 must contain exactly one file ending in .yaml or .yml; it contains README.md\n"
    );
    let installed = install("mine").await;
    assert_eq!(installed.code, 0, "{}", installed.stderr);
    let text = fs_err::read_to_string(directory.path().join(".sonobuoy/foo.yaml")).unwrap();
    assert_eq!(text, PLUGIN);
}

/// BUG 45: an unknown command is a short error.
#[test]
fn an_unknown_action_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let finished = sono(directory.path(), &["plugin", "bogus"]);
    assert_eq!((finished.code, finished.stdout.as_str()), (1, ""));
    assert_eq!(
        finished.stderr,
        "error: unrecognized subcommand 'bogus'\n  usage: sono plugin [OPTIONS] <COMMAND>\n  hint:  for a list of commands: sono plugin --help\n"
    );
}

#[test]
fn lint_reports_all_problems() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    fs_err::write(here.join("good.yaml"), PLUGIN).unwrap();
    fs_err::write(
        here.join("bad.yaml"),
        PLUGIN.replace("Job", "Jobb").replace("image", "imgae"),
    )
    .unwrap();
    assert_eq!(
        sono(here, &["plugin", "lint", "good.yaml"]),
        success("", "1 definition, no problems\n")
    );
    assert_eq!(
        sono(here, &["plugin", "lint", "good.yaml", "bad.yaml"]),
        Finished {
            code: 1,
            stdout:
                "error: bad.yaml:3:11   unknown driver `Jobb`; expected one of Job, DaemonSet (did you mean Job?)\n\
                     warning: bad.yaml:6:10   unknown field `spec.imgae` of a Container (did you mean image?)\n"
                    .to_owned(),
            stderr: "2 definitions: 1 error, 1 warning\n".to_owned(),
        }
    );
    let json = sono(here, &["plugin", "lint", "bad.yaml", "-o", "json"]);
    let problems: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((json.code, json.stderr.as_str()), (1, ""));
    assert_eq!(
        problems[0],
        serde_json::json!({
            "file": "bad.yaml", "line": 3, "column": 11, "field": "sonobuoy-config.driver", "severity": "error",
            "message": "unknown driver `Jobb`; expected one of Job, DaemonSet (did you mean Job?)",
        })
    );
}

/// An unreadable file does not hide problems of other files.
#[test]
fn lint_continues_after_an_unreadable_file() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    fs_err::create_dir(here.join("plugins")).unwrap();
    fs_err::write(here.join("plugins/a.yaml"), b"\xff").unwrap();
    fs_err::write(here.join("plugins/b.yaml"), PLUGIN.replace("Job", "Jobb")).unwrap();
    assert_eq!(
        sono(here, &["plugin", "lint", "plugins", "none.yaml"]),
        Finished {
            code: 1,
            stdout: "error: plugins/a.yaml   cannot read the plugin `plugins/a.yaml`: the definition is not text: byte 0 (line 1) is not UTF-8: 0xff\n\
                     error: plugins/b.yaml:3:11   unknown driver `Jobb`; expected one of Job, DaemonSet (did you mean Job?)\n\
                     error: none.yaml   plugin `none.yaml` not found: no such file or directory\n"
                .to_owned(),
            stderr: "1 definition: 3 errors, 0 warnings\n".to_owned(),
        }
    );
    let alone = sono(here, &["plugin", "lint", "none.yaml"]);
    assert_eq!((alone.code, alone.stdout.as_str()), (1, ""));
    assert!(
        alone.stderr.starts_with("error: plugin `none.yaml` not found"),
        "{}",
        alone.stderr
    );
}
