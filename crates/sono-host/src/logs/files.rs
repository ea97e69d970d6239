//! The log files of a machine without a journal, in the journal's own format: a JSON object a line (systemd's "Journal Export
//! Formats", JSON), with the fields of theirs that a text file has.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write},
    path::Path,
};

use serde_json::json;

use crate::below::below;

const LOGS: &str = "/var/log";
/// What a machine has of containers is no log of the machine, and a journal's files are for journalctl.
const OTHERS: [&str; 3] = ["containers", "journal", "pods"];
/// Of a file, this much of its end, in bytes.
const FILE_LIMIT: u64 = 16 * 1024 * 1024;
/// Folders in folders.
const DEPTH: usize = 6;

/// Writes every line of every text file below `/var/log`. Returns how many files were read.
pub(super) fn write(root: &Path, node: &str, into: &mut impl Write) -> io::Result<usize> {
    let mut found = BTreeMap::new();
    list(root, LOGS, DEPTH, &mut found);
    for (path, size) in &found {
        if let Err(error) = write_file(root, path, *size, node, into) {
            say(into, node, &format!("{path}: {error}"))?;
        }
    }
    Ok(found.len())
}

/// A line of our own: what a reader of the result has to know.
pub(super) fn say(into: &mut impl Write, node: &str, message: &str) -> io::Result<()> {
    let line = json!({
        "_HOSTNAME": node,
        "SYSLOG_IDENTIFIER": "sono-systemd-logs",
        "PRIORITY": "3",
        "MESSAGE": message,
    });
    writeln!(into, "{line}")
}

/// Regular files and their sizes; links are not followed, which would tell things twice.
fn list(root: &Path, directory: &str, depth: usize, found: &mut BTreeMap<String, u64>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    // What cannot be listed cannot be read either; a machine may have no such directory.
    let Ok(entries) = fs_err::read_dir(below(root, directory)) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let (Some(name), Ok(kind)) = (name.to_str(), entry.file_type()) else {
            continue;
        };
        let path = format!("{directory}/{name}");
        if kind.is_dir() && !(directory == LOGS && OTHERS.contains(&name)) {
            list(root, &path, depth, found);
        } else if kind.is_file()
            && let Ok(metadata) = entry.metadata()
        {
            found.insert(path, metadata.len());
        }
    }
}

fn write_file(root: &Path, path: &str, size: u64, node: &str, into: &mut impl Write) -> io::Result<()> {
    let mut file = fs_err::File::open(below(root, path))?;
    let left_out = size.saturating_sub(FILE_LIMIT);
    if left_out > 0 {
        say(into, node, &format!("{path}: the first {left_out} bytes are left out"))?;
        file.seek(SeekFrom::Start(left_out))?;
    }
    let mut lines = BufReader::new(file);
    if lines.fill_buf()?.contains(&0) {
        return say(into, node, &format!("{path}: left out, since it is no text"));
    }
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        let message = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line));
        let entry = json!({ "_HOSTNAME": node, "_TRANSPORT": "file", "FILE": path, "MESSAGE": message });
        writeln!(into, "{entry}")?;
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn lines(root: &Path) -> (usize, Vec<Value>) {
        let mut bytes = Vec::new();
        let files = write(root, "n1", &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        (
            files,
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        )
    }

    #[test]
    fn every_line_of_every_text_file_is_an_entry() {
        let directory = tempfile::tempdir().unwrap();
        let logs = directory.path().join("var/log");
        for folder in ["pods/default", "apt", "journal"] {
            fs_err::create_dir_all(logs.join(folder)).unwrap();
        }
        fs_err::write(logs.join("syslog"), "one\ntwo \"quoted\"").unwrap();
        fs_err::write(logs.join("apt/history.log"), b"caf\xe9\n").unwrap();
        fs_err::write(logs.join("wtmp"), b"\0\0\x01").unwrap();
        fs_err::write(logs.join("pods/default/0.log"), "a container's\n").unwrap();
        fs_err::write(logs.join("journal/system.journal"), "LPKSHHRH").unwrap();
        let entry = |file: &str, message: &str| json!({"_HOSTNAME": "n1", "_TRANSPORT": "file", "FILE": file, "MESSAGE": message});
        let note = json!({
            "_HOSTNAME": "n1", "SYSLOG_IDENTIFIER": "sono-systemd-logs", "PRIORITY": "3",
            "MESSAGE": "/var/log/wtmp: left out, since it is no text",
        });
        assert_eq!(
            lines(directory.path()),
            (
                3,
                vec![
                    entry("/var/log/apt/history.log", "caf\u{fffd}"),
                    entry("/var/log/syslog", "one"),
                    entry("/var/log/syslog", "two \"quoted\""),
                    note,
                ]
            )
        );
    }

    #[test]
    fn of_a_long_file_the_end_is_kept_and_that_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let logs = directory.path().join("var/log");
        fs_err::create_dir_all(&logs).unwrap();
        let mut content = vec![b'x'; usize::try_from(FILE_LIMIT).unwrap()];
        content.extend(b"\nend");
        fs_err::write(logs.join("long"), content).unwrap();
        let (_, lines) = lines(directory.path());
        assert_eq!(lines[0]["MESSAGE"], "/var/log/long: the first 4 bytes are left out");
        assert_eq!(lines[2]["MESSAGE"], "end");
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn a_machine_without_logs_has_none() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(lines(directory.path()), (0, Vec::new()));
    }
}
