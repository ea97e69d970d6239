//! Stopping a local run leaves no processes.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::command;

const LIMIT: Duration = Duration::from_mins(1);

/// A plugin that writes its process id to a file and waits. As in Kubernetes, `$$` is one `$`.
fn plugin(directory: &Path) -> PathBuf {
    let (file, note) = (directory.join("stays.yaml"), directory.join("pid"));
    let text = format!(
        "sonobuoy-config: {{driver: Job, plugin-name: stays, result-format: raw}}\n\
         spec:\n  name: plugin\n  image: none\n  command: [\"/bin/sh\", \"-c\", \"echo $$$$ > {note}.new; mv {note}.new {note}; sleep 600; true\"]\n",
        note = note.display()
    );
    fs_err::write(&file, text).unwrap();
    file
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "{what} did not happen");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Whether the process is running; a zombie is not.
fn runs(pid: &str) -> bool {
    let state = fs_err::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn stop(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

/// A CI system sends SIGTERM to cancel a job, a closed terminal sends SIGHUP.
#[test]
fn signal_to_a_local_run_stops_its_plugins() {
    for (arguments, signal, code) in [
        (vec!["run", "--local", "-p"], "-TERM", 143),
        (vec!["run", "--local", "-p"], "-HUP", 129),
        (vec!["run", "--local", "-p"], "-INT", 130),
        (vec!["plugin", "test"], "-TERM", 143),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let temporary = directory.path().join("tmp");
        fs_err::create_dir(&temporary).unwrap();
        let mut child = command(directory.path())
            .env("TMPDIR", &temporary)
            .env("PATH", "/usr/bin:/bin")
            .args(&arguments)
            .arg(plugin(directory.path()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid = wait_for("the plugin's start", || {
            fs_err::read_to_string(directory.path().join("pid")).ok()
        });
        let pid = pid.trim();
        assert!(runs(pid));
        stop(&child, signal);
        let status = wait_for("the end", || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(code), "{arguments:?} {signal}");
        wait_for("the plugin's end", || (!runs(pid)).then_some(()));
        let left: Vec<_> = fs_err::read_dir(&temporary).unwrap().collect();
        assert!(left.is_empty(), "{arguments:?} {signal}: {left:?}");
    }
}
