//! The log files of a machine without a journal, in the journal's JSON format: one object per line (systemd's "Journal
//! Export Formats"), with the fields that apply to a text file.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write},
    path::Path,
};

use serde_json::json;

use crate::rooted_path::rooted_path;

const LOGS: &str = "/var/log";
/// Directories that are skipped: container logs are not logs of the machine, and journal files are read by journalctl.
const SKIPPED: [&str; 3] = ["containers", "journal", "pods"];
/// Bytes read from the end of a file.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// Maximum depth of directories.
const MAX_DEPTH: usize = 6;

/// Writes every line of every text file below `/var/log`. Returns the number of files.
pub(super) fn write(root: &Path, node: &str, into: &mut impl Write) -> io::Result<usize> {
    let mut found = BTreeMap::new();
    list(root, LOGS, MAX_DEPTH, &mut found);
    for (path, size) in &found {
        if let Err(error) = write_file(root, path, *size, node, into) {
            note(into, node, &format!("{path}: {error}"))?;
        }
    }
    Ok(found.len())
}

/// Writes a note for the reader of the result.
pub(super) fn note(into: &mut impl Write, node: &str, message: &str) -> io::Result<()> {
    let line = json!({
        "_HOSTNAME": node,
        "SYSLOG_IDENTIFIER": "sono-systemd-logs",
        "PRIORITY": "3",
        "MESSAGE": message,
    });
    writeln!(into, "{line}")
}

/// Lists regular files and their sizes. Links are not followed, to avoid duplicates.
fn list(root: &Path, directory: &str, depth: usize, found: &mut BTreeMap<String, u64>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    // A directory that cannot be listed may not exist.
    let Ok(entries) = fs_err::read_dir(rooted_path(root, directory)) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let (Some(name), Ok(kind)) = (name.to_str(), entry.file_type()) else {
            continue;
        };
        let path = format!("{directory}/{name}");
        if kind.is_dir() && !(directory == LOGS && SKIPPED.contains(&name)) {
            list(root, &path, depth, found);
        } else if kind.is_file()
            && let Ok(metadata) = entry.metadata()
        {
            found.insert(path, metadata.len());
        }
    }
}

fn write_file(root: &Path, path: &str, size: u64, node: &str, into: &mut impl Write) -> io::Result<()> {
    let mut file = fs_err::File::open(rooted_path(root, path))?;
    let omitted = size.saturating_sub(MAX_FILE_BYTES);
    if omitted > 0 {
        note(into, node, &format!("{path}: the first {omitted} bytes are omitted"))?;
        file.seek(SeekFrom::Start(omitted))?;
    }
    let mut lines = BufReader::new(file);
    if lines.fill_buf()?.contains(&0) {
        return note(into, node, &format!("{path}: skipped, because it is not text"));
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
            "MESSAGE": "/var/log/wtmp: skipped, because it is not text",
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
    fn long_file_is_cut_at_its_start_with_a_note() {
        let directory = tempfile::tempdir().unwrap();
        let logs = directory.path().join("var/log");
        fs_err::create_dir_all(&logs).unwrap();
        let mut content = vec![b'x'; usize::try_from(MAX_FILE_BYTES).unwrap()];
        content.extend(b"\nend");
        fs_err::write(logs.join("long"), content).unwrap();
        let (_, lines) = lines(directory.path());
        assert_eq!(lines[0]["MESSAGE"], "/var/log/long: the first 4 bytes are omitted");
        assert_eq!(lines[2]["MESSAGE"], "end");
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn a_machine_without_logs_has_none() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(lines(directory.path()), (0, Vec::new()));
    }
}
