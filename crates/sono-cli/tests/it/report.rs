//! `sono report`: one offline page about an archive.

use crate::{sono, why::write_run};

#[test]
fn report_of_an_archive_is_written_once_and_equal() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    write_run(directory);
    let written = sono(directory, &["report", "run.tar.gz"]);
    assert_eq!(
        (written.code, written.stdout.as_str(), written.stderr.as_str()),
        (0, "run.html\n", "")
    );
    let page = fs_err::read_to_string(directory.join("run.html")).unwrap();
    for expected in [
        "<h1>Run <span class=\"status bad\"><span aria-hidden=\"true\">✗</span> failed</span></h1>",
        "<p>4 failures: 3 explained by 3 causes, 1 unexplained.</p>",
        "Images cannot be pulled",
        "<code>r/x:1</code>",
        "service is not reachable within 2m0s timeout",
    ] {
        assert!(page.contains(expected), "{expected}: {page}");
    }
    let again = sono(directory, &["report", "run.tar.gz", "-o", "-"]);
    assert_eq!((again.code, again.stdout.as_str()), (0, page.as_str()));
}

#[test]
fn report_does_not_replace_a_foreign_file() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    write_run(directory);
    fs_err::write(directory.join("a.html"), "<p>mine</p>").unwrap();
    let refused = sono(directory, &["report", "run", "-o", "a.html"]);
    assert_eq!(
        (refused.code, refused.stderr.as_str()),
        (
            1,
            "error: `a.html` exists and is not a report\n  hint:  choose another file with -o; `sono report --force` replaces any file\n"
        )
    );
    assert_eq!(fs_err::read_to_string(directory.join("a.html")).unwrap(), "<p>mine</p>");
    for arguments in [
        &["report", "run", "-o", "a.html", "--force"][..],
        &["report", "run", "-o", "a.html"],
    ] {
        assert_eq!(sono(directory, arguments).code, 0, "{arguments:?}");
    }
}

#[test]
fn torn_archive_writes_no_report() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    write_run(directory);
    let whole = fs_err::read(directory.join("run.tar.gz")).unwrap();
    fs_err::write(directory.join("torn.tar.gz"), whole.get(..whole.len() / 2).unwrap()).unwrap();
    let finished = sono(directory, &["report", "torn.tar.gz"]);
    assert_eq!((finished.code, finished.stdout.as_str()), (1, ""));
    assert!(!directory.join("torn.html").exists());
}
