use sono_analysis::CardPlugin;
use tempfile::TempDir;

use super::*;

fn now() -> Timestamp {
    "2026-12-01T12:00:00Z".parse().unwrap()
}

fn card(run: &str, start: &str) -> Card {
    let mut card = Card {
        schema: 1,
        plugins: vec![CardPlugin {
            name: "e2e".to_owned(),
            status: "failed".to_owned(),
            tests: vec!["a".to_owned(), "b".to_owned()],
            statuses: "pf".to_owned(),
            ..CardPlugin::default()
        }],
        ..Card::default()
    };
    card.run.id = run.to_owned();
    card.run.start = start.parse().ok();
    card.cluster.id = "c".to_owned();
    card
}

fn history() -> (TempDir, History) {
    let directory = TempDir::new().unwrap();
    let history = History::new(directory.path().join("sono/history"));
    (directory, history)
}

fn runs(history: &History) -> Vec<String> {
    let listing = history.list().unwrap();
    listing.entries.into_iter().map(|entry| entry.run).collect()
}

fn problems(history: &History) -> Vec<String> {
    let listing = history.list().unwrap();
    listing
        .problems
        .iter()
        .map(|problem| sono_types::error_chain(problem))
        .collect()
}

#[test]
fn recorded_run_is_listed_and_read() {
    let (_directory, history) = history();
    assert_eq!(runs(&history), [""; 0]);
    let stored = card("run-1", "2026-11-30T10:00:00Z");
    let Recorded::New(entry) = history.record(&stored, Added::JustEnded, now()).unwrap() else {
        panic!("it is known");
    };
    let expected = Entry {
        run: "run-1".to_owned(),
        time: "2026-11-30T10:00:00Z".parse().unwrap(),
        start: "2026-11-30T10:00:00Z".parse().ok(),
        seconds: None,
        cluster: "c".to_owned(),
        kubernetes: String::new(),
        plugins: vec![crate::EntryPlugin {
            name: "e2e".to_owned(),
            status: "failed".to_owned(),
            tests: 2,
            failed: 1,
        }],
        file: "20261130T100000000Z_run-1.json.gz".to_owned(),
        bytes: entry.bytes,
    };
    assert_eq!(entry, expected);
    // From the card, and from the index.
    assert_eq!(history.list().unwrap().entries, std::slice::from_ref(&expected));
    fs_err::remove_file(history.directory().join("index.json")).unwrap();
    assert_eq!(history.list().unwrap().entries, std::slice::from_ref(&expected));
    assert_eq!(history.list().unwrap().entries, [expected]);
    assert_eq!(history.card(&entry).unwrap(), stored);
    assert_eq!(
        history.record(&stored, Added::JustEnded, now()).unwrap(),
        Recorded::Known("run-1".to_owned())
    );
}

#[cfg(unix)]
#[test]
fn only_the_user_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_directory, history) = history();
    history.record(&card("run-1", ""), Added::JustEnded, now()).unwrap();
    history.list().unwrap();
    let mode = |path: &Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(history.directory()), 0o700);
    let names = ["20261201T120000000Z_run-1.json.gz", "index.json", "lock"];
    for name in names {
        assert_eq!(mode(&history.directory().join(name)), 0o600, "{name}");
    }
}

#[test]
fn runs_that_ended_are_the_newest_and_archives_are_sorted_by_start() {
    let (_directory, history) = history();
    for (run, start, added) in [
        ("run-2", "2026-11-30T10:00:00Z", Added::JustEnded),
        // The clock stepped back.
        ("run-3", "2026-11-01T10:00:00Z", Added::JustEnded),
        ("run-1", "2026-11-01T10:00:00Z", Added::FromArchive),
        ("run-4", "", Added::JustEnded),
    ] {
        history.record(&card(run, start), added, now()).unwrap();
    }
    assert_eq!(runs(&history), ["run-1", "run-2", "run-3", "run-4"]);
}

/// The index saves time, and nothing depends on it.
#[test]
fn damaged_index_is_rebuilt() {
    let (_directory, history) = history();
    for run in ["run-1", "run-2"] {
        history.record(&card(run, ""), Added::JustEnded, now()).unwrap();
    }
    let index = history.directory().join("index.json");
    for damaged in [
        "",
        "{",
        "{\"schema\":2,\"runs\":[]}",
        "{\"schema\":1,\"runs\":[]}",
        "null",
    ] {
        fs_err::write(&index, damaged).unwrap();
        assert_eq!(runs(&history), ["run-1", "run-2"], "{damaged}");
        assert!(fs_err::metadata(&index).unwrap().len() > 300, "{damaged}");
    }
    // A removed card leaves the index.
    fs_err::remove_file(history.directory().join("20261201T120000000Z_run-1.json.gz")).unwrap();
    assert_eq!(runs(&history), ["run-2"]);
    assert!(!fs_err::read_to_string(&index).unwrap().contains("run-1"));
}

#[test]
fn damaged_and_newer_cards_are_problems_and_others_are_used() {
    let (_directory, history) = history();
    history.record(&card("run-1", ""), Added::JustEnded, now()).unwrap();
    let file = |id: &str, bytes: &[u8]| {
        fs_err::write(
            history.directory().join(format!("20261201T130000000Z_{id}.json.gz")),
            bytes,
        )
        .unwrap();
    };
    let packed = |text: &str| {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(text.as_bytes()).unwrap();
        packed.finish().unwrap()
    };
    let whole = packed(&card("torn", "").to_json().unwrap());
    file("empty", b"");
    file("newer", &packed("{\"schema\":99,\"plugins\":7}"));
    file("text", b"no gzip");
    file("torn", &whole[..whole.len() / 2]);
    file(
        "wrong",
        &packed("{\"schema\":1,\"plugins\":[{\"tests\":[\"a\"],\"statuses\":\"\"}]}"),
    );
    fs_err::write(history.directory().join("notes.txt"), "mine").unwrap();
    fs_err::create_dir(history.directory().join("20261201T130000000Z_folder.json.gz")).unwrap();
    let large = fs_err::File::create(history.directory().join("20261201T130000000Z_large.json.gz")).unwrap();
    large.set_len(MAX_FILE_BYTES + 1).unwrap();
    assert_eq!(runs(&history), ["run-1"]);
    let found: Vec<String> = problems(&history)
        .iter()
        .map(|problem| problem.split(": ").skip(1).collect::<Vec<_>>().join(": "))
        .collect();
    assert_eq!(found.len(), 6, "{found:?}");
    assert_eq!(found[1], "it exceeds 4194304 bytes");
    assert_eq!(
        found[2],
        "the card has version 99, and this program reads versions up to 1"
    );
    assert_eq!(found[5], "the card is damaged: a test has no status");
}

#[test]
fn two_recorders_lose_nothing() {
    let (_directory, history) = history();
    thread::scope(|scope| {
        for recorder in 0..4 {
            let history = &history;
            scope.spawn(move || {
                for number in 0..20 {
                    let card = card(&format!("run-{recorder}-{number}"), "");
                    history.record(&card, Added::JustEnded, now()).unwrap();
                }
            });
        }
    });
    let listing = history.list().unwrap();
    assert_eq!((listing.entries.len(), listing.problems.len()), (80, 0));
}

#[test]
fn runs_beyond_the_limits_are_pruned() {
    let (_directory, history) = history();
    for number in 0..5 {
        history
            .record(&card(&format!("run-{number}"), ""), Added::JustEnded, now())
            .unwrap();
    }
    let few = Retention {
        of_cluster: 2,
        ..Retention::DEFAULT
    };
    let removed = history.prune(&few, now()).unwrap();
    assert_eq!(removed.len(), 3);
    assert_eq!(runs(&history), ["run-3", "run-4"]);
    // Another process writes.
    let lock = history.lock().unwrap();
    let busy = history.prune(&few, now()).unwrap_err();
    assert!(busy.to_string().starts_with("cannot prune the history"), "{busy}");
    drop(lock);
    assert_eq!(history.prune(&few, now()).unwrap(), []);
}

/// Recording bounds the history, without a command for it.
#[test]
fn recording_removes_outdated_runs() {
    let (_directory, history) = history();
    for number in 0..256 {
        let added = history.record(&card(&format!("run-{number}"), ""), Added::JustEnded, now());
        added.unwrap();
    }
    let runs = runs(&history);
    assert_eq!(runs.len(), Retention::DEFAULT.of_cluster);
    assert_eq!(runs.last().map(String::as_str), Some("run-255"));
}

#[test]
fn history_that_cannot_be_written_is_an_error() {
    let (directory, _) = history();
    let file = directory.path().join("file");
    fs_err::write(&file, "").unwrap();
    let history = History::new(file.join("history"));
    assert!(history.record(&card("run-1", ""), Added::JustEnded, now()).is_err());
}
