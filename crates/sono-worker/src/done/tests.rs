use super::*;

const RUNNING: ContainersState = ContainersState::Running;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn written(path: &str, target: Target, written: u64) -> Observation {
    Observation::Named {
        path: PathBuf::from(path),
        target,
        modified: Some(SystemTime::UNIX_EPOCH + millis(written)),
    }
}

fn file() -> Observation {
    written("/r/a.xml", Target::File, 0)
}

fn submit() -> Decision {
    Decision::Collect(ResultSource::File("/r/a.xml".into()))
}

#[test]
fn with_no_delay_a_closed_file_counts_at_once() {
    let mut done = DoneFile::new(Duration::ZERO);
    assert_eq!(
        done.decide(millis(0), Observation::Absent, false, RUNNING),
        Decision::Wait
    );
    assert_eq!(done.decide(millis(7), file(), true, RUNNING), submit());
}

#[test]
fn with_no_delay_a_file_that_may_be_half_written_has_to_settle() {
    let mut done = DoneFile::new(Duration::ZERO);
    let half = written("/r", Target::Directory, 0);
    assert_eq!(
        done.decide(millis(0), half, false, RUNNING),
        Decision::WaitUntil(millis(100))
    );
    let whole = written("/r/a.xml", Target::File, 50);
    assert_eq!(
        done.decide(millis(50), whole.clone(), false, RUNNING),
        Decision::WaitUntil(millis(150))
    );
    assert_eq!(done.decide(millis(150), whole, false, RUNNING), submit());
}

#[test]
fn close_event_may_follow_the_first_observation() {
    let mut done = DoneFile::new(Duration::ZERO);
    assert_eq!(
        done.decide(millis(0), file(), false, RUNNING),
        Decision::WaitUntil(millis(100))
    );
    assert_eq!(done.decide(millis(3), file(), true, RUNNING), submit());
}

#[test]
fn the_file_has_to_stand_for_the_delay() {
    let mut done = DoneFile::new(millis(5000));
    assert_eq!(
        done.decide(millis(1000), file(), true, RUNNING),
        Decision::WaitUntil(millis(6000))
    );
    assert_eq!(
        done.decide(millis(5999), file(), false, RUNNING),
        Decision::WaitUntil(millis(6000))
    );
    assert_eq!(done.decide(millis(6000), file(), false, RUNNING), submit());
}

#[test]
fn a_side_car_may_take_the_file_and_write_it_again() {
    let mut done = DoneFile::new(millis(5000));
    assert_eq!(
        done.decide(millis(0), file(), true, RUNNING),
        Decision::WaitUntil(millis(5000))
    );
    assert_eq!(
        done.decide(millis(2000), Observation::Absent, false, RUNNING),
        Decision::Wait
    );
    assert_eq!(
        done.decide(millis(60_000), Observation::Absent, false, RUNNING),
        Decision::Wait
    );
    let again = written("/r/b.xml", Target::File, 61_000);
    assert_eq!(
        done.decide(millis(61_000), again.clone(), true, RUNNING),
        Decision::WaitUntil(millis(66_000))
    );
    assert_eq!(
        done.decide(millis(66_000), again, false, RUNNING),
        Decision::Collect(ResultSource::File("/r/b.xml".into()))
    );
}

#[test]
fn replaced_file_restarts_the_delay_a_limited_number_of_times() {
    let mut done = DoneFile::new(millis(5000));
    for second in 0..60 {
        let at = millis(second * 1000);
        assert_eq!(
            done.decide(at, written("/r/a.xml", Target::File, second * 1000), true, RUNNING),
            Decision::WaitUntil((at + millis(5000)).min(millis(60_000)))
        );
    }
    assert_eq!(
        done.decide(millis(60_000), written("/r/a.xml", Target::File, 60_000), true, RUNNING),
        submit()
    );
}

#[test]
fn temporarily_unreadable_file_does_not_restart_the_delay() {
    let mut done = DoneFile::new(millis(5000));
    done.decide(millis(0), file(), true, RUNNING);
    assert_eq!(
        done.decide(millis(3000), Observation::Unreadable("no".to_owned()), false, RUNNING),
        Decision::Wait
    );
    assert_eq!(done.decide(millis(5000), file(), false, RUNNING), submit());
}

#[test]
fn directories_are_packed() {
    let mut done = DoneFile::new(Duration::ZERO);
    assert_eq!(
        done.decide(millis(0), written("/r", Target::Directory, 0), true, RUNNING),
        Decision::Collect(ResultSource::Directory("/r".into()))
    );
}

#[test]
fn missing_target_has_a_grace_period() {
    let missing = || written("/r/a.xml", Target::Missing("gone".to_owned()), 0);
    let mut done = DoneFile::new(Duration::ZERO);
    assert_eq!(
        done.decide(millis(0), missing(), true, RUNNING),
        Decision::WaitUntil(millis(1000))
    );
    assert_eq!(done.decide(millis(900), file(), true, RUNNING), submit());

    let mut done = DoneFile::new(Duration::ZERO);
    done.decide(millis(0), missing(), true, RUNNING);
    assert_eq!(
        done.decide(millis(1000), missing(), false, RUNNING),
        Decision::Collect(ResultSource::Nothing(
            "failed to stat result file /r/a.xml: gone".to_owned()
        ))
    );
}

#[test]
fn delay_is_skipped_when_all_other_containers_have_ended() {
    let decide = |seen| DoneFile::new(millis(5000)).decide(millis(0), seen, false, ContainersState::Succeeded);
    assert_eq!(decide(Observation::Absent), Decision::Collect(ResultSource::Everything));
    assert_eq!(
        decide(Observation::Unreadable("no".to_owned())),
        Decision::Collect(ResultSource::Everything)
    );
    assert_eq!(decide(file()), submit());
    assert_eq!(
        decide(written("/r/a.xml", Target::Missing("gone".to_owned()), 0)),
        Decision::Collect(ResultSource::Nothing(
            "failed to stat result file /r/a.xml: gone".to_owned()
        ))
    );
}

#[test]
fn others_that_failed_do_not_make_a_result() {
    for others in [ContainersState::Failed, ContainersState::Unknown] {
        let mut done = DoneFile::new(Duration::ZERO);
        assert_eq!(
            done.decide(millis(0), Observation::Absent, false, others),
            Decision::Wait
        );
        assert_eq!(done.decide(millis(0), file(), true, others), submit());
    }
}

fn observe_content(content: &str) -> (tempfile::TempDir, Observation) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.xml"), "x").unwrap();
    fs::create_dir(directory.path().join("sub")).unwrap();
    fs::write(directory.path().join("done"), content).unwrap();
    let seen = observe(directory.path());
    (directory, seen)
}

#[test]
fn white_space_around_the_path_does_not_count() {
    for (content, name, expected) in [
        ("a.xml", "a.xml", Target::File),
        ("a.xml\n", "a.xml", Target::File),
        ("  a.xml\r\n", "a.xml", Target::File),
        ("sub", "sub", Target::Directory),
        ("/tmp/results/a.xml", "a.xml", Target::File),
        ("/tmp/results/sub/", "sub", Target::Directory),
    ] {
        let (directory, seen) = observe_content(content);
        let Observation::Named { path, target, .. } = seen else {
            panic!("{content:?} gives {seen:?}");
        };
        assert_eq!((path, target), (directory.path().join(name), expected), "{content:?}");
    }
}

#[test]
fn empty_file_counts_as_absent() {
    assert_eq!(observe_content("").1, Observation::Absent);
    assert_eq!(observe_content(" \r\n").1, Observation::Absent);
    assert_eq!(observe(Path::new("/no/such/directory")), Observation::Absent);
}

#[test]
fn invalid_content_is_not_a_path() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("done")).unwrap();
    assert_eq!(
        observe(directory.path()),
        Observation::Unreadable("it is a directory, not a file".to_owned())
    );
}

#[cfg(unix)]
#[test]
fn done_that_is_not_a_file_is_reported_at_once() {
    use std::os::unix::{fs::symlink, net::UnixListener};

    use rustix::fs::{CWD, Mode, mkfifoat};

    type Make = fn(&Path);
    let cases: [(Make, &str); 5] = [
        (
            |done| mkfifoat(CWD, done, Mode::RWXU).unwrap(),
            "it is a FIFO, not a file",
        ),
        (
            |done| drop(UnixListener::bind(done).unwrap()),
            "it is a socket, not a file",
        ),
        (|done| symlink("/dev/zero", done).unwrap(), "it is a device, not a file"),
        (|done| symlink("/", done).unwrap(), "it is a directory, not a file"),
        (|done| symlink("nowhere", done).unwrap(), "it is a dangling link"),
    ];
    for (make, said) in cases {
        let directory = tempfile::tempdir().unwrap();
        make(&directory.path().join("done"));
        assert_eq!(observe(directory.path()), Observation::Unreadable(said.to_owned()));
    }
    // The target may be another kind of file, too.
    let directory = tempfile::tempdir().unwrap();
    mkfifoat(CWD, directory.path().join("fifo"), Mode::RWXU).unwrap();
    fs::write(directory.path().join("done"), "fifo").unwrap();
    let Observation::Named { target, .. } = observe(directory.path()) else {
        panic!("expected a path")
    };
    assert_eq!(
        target,
        Target::Missing("it is neither a file nor a directory".to_owned())
    );
}

/// The reason for which a done file with these bytes is rejected, as soon as it has settled, while its plugin runs.
fn refusal(content: &[u8]) -> String {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("done"), content).unwrap();
    let seen = observe(directory.path());
    let mut done = DoneFile::new(Duration::ZERO);
    match done.decide(millis(0), seen, true, RUNNING) {
        Decision::Collect(ResultSource::Nothing(reason)) => reason,
        other => panic!("{content:?} gives {other:?}"),
    }
}

/// Case 14.
#[test]
fn done_file_without_a_possible_result_is_refused_at_once() {
    for (content, expected) in [
        (&b"done"[..], "the done file names itself: `done`"),
        (b"./done\n", "the done file names itself: `./done`"),
        (b"/tmp/results/done", "the done file names itself: `/tmp/results/done`"),
        (b"/", "the done file names a directory above the results directory: `/`"),
        (
            b"..",
            "the done file names a directory above the results directory: `..`",
        ),
        (b"ab\0c", "the done file contains no path: `ab\\x00c`"),
        (
            b"caf\xe9",
            "the done file contains no path: byte 3 (line 1) is not UTF-8: 0xe9: `caf\\xe9`",
        ),
    ] {
        assert_eq!(refusal(content), expected);
    }
    let long = format!("the done file is longer than 4096 bytes: `{}`…", "a".repeat(100));
    assert_eq!(refusal("a".repeat(5000).as_bytes()), long);
}

/// Case 14: other names of the same file.
#[cfg(unix)]
#[test]
fn done_file_that_names_a_link_to_itself_is_refused() {
    for hard in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let (done, link) = (directory.path().join("done"), directory.path().join("link"));
        fs::write(&done, "link").unwrap();
        if hard {
            fs::hard_link(&done, &link).unwrap();
        } else {
            fs_err::os::unix::fs::symlink("done", &link).unwrap();
        }
        let refused = check_done_file(directory.path());
        assert_eq!(
            refused,
            Err("the done file names itself: `link`".to_owned()),
            "hard: {hard}"
        );
    }
}

/// Case 15: written by PowerShell.
#[test]
fn done_file_in_other_encodings_is_read() {
    let utf16: Vec<u8> = "\u{feff}a.xml\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = "a.xml".encode_utf16().flat_map(u16::to_be_bytes).collect();
    for content in [b"\xef\xbb\xbfa.xml\r\n".to_vec(), utf16, big] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a.xml"), "x").unwrap();
        fs::write(directory.path().join("done"), &content).unwrap();
        let Observation::Named { path, target, .. } = observe(directory.path()) else {
            panic!("{content:?}");
        };
        assert_eq!((path, target), (directory.path().join("a.xml"), Target::File));
    }
}

/// Plugins for older Sonobuoy or Windows name paths below `/tmp/results`, wherever the results directory is.
#[test]
fn the_results_directory_of_old_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    fs::write(folder.path().join("sub/file.txt"), "x").unwrap();
    let file = (folder.path().join("sub/file.txt"), Target::File);
    let whole = (folder.path().to_path_buf(), Target::Directory);
    for (name, expected) in [
        ("/tmp/results/sub/file.txt", &file),
        ("c:\\tmp\\results\\sub\\file.txt", &file),
        ("C:/tmp/results/sub/file.txt", &file),
        ("/tmp/results", &whole),
        ("/tmp/results/", &whole),
    ] {
        assert_eq!(&resolve(folder.path(), name), expected, "{name}");
    }
    for name in ["/tmp/results-old/sub/file.txt", "/else/tmp/results/sub/file.txt"] {
        assert!(matches!(resolve(folder.path(), name).1, Target::Missing(_)), "{name}");
    }
}
