//! `--keep`: removes older archives from the directory after a download.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sono_types::layout;

use crate::output::Printer;

/// Archive in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Archive {
    name: String,
    /// Start of its run, to the minute, from its name.
    start: String,
    /// Modification time, to order archives of the same minute.
    written: Timestamp,
}

impl Archive {
    /// Sort key: the oldest archive is first.
    fn age(&self) -> (&str, Timestamp, &str) {
        (&self.start, self.written, &self.name)
    }
}

/// Removes all archives except `number`: the received ones and the newest others.
///
/// Archives are recognized by their names. Other files are not removed, except unfinished downloads. A failure causes only a
/// warning, since the download itself has succeeded.
pub(super) fn remove_old(directory: &Path, number: u32, received: &[PathBuf], printer: &Printer) {
    let (archives, unfinished) = match list(directory) {
        Ok(found) => found,
        Err(error) => {
            printer.note(&format!("warning: cannot remove older archives: {error}"));
            return;
        }
    };
    let received: Vec<String> = received.iter().filter_map(|path| name(path)).collect();
    for name in surplus(archives, number, &received).into_iter().chain(unfinished) {
        match fs_err::remove_file(directory.join(&name)) {
            Ok(()) => printer.note(&format!("removed {name}, because --keep is {number}")),
            Err(error) => printer.note(&format!("warning: cannot remove an older archive: {error}")),
        }
    }
}

/// Path of the newest archive in a directory.
pub(in crate::commands) fn newest(directory: &Path) -> std::io::Result<Option<PathBuf>> {
    let (archives, _) = list(directory)?;
    let newest = archives.into_iter().max_by(|one, other| one.age().cmp(&other.age()));
    Ok(newest.map(|archive| PathBuf::from(archive.name)))
}

/// Lists archives and unfinished downloads.
fn list(directory: &Path) -> std::io::Result<(Vec<Archive>, Vec<String>)> {
    let (mut archives, mut unfinished) = (Vec::new(), Vec::new());
    for entry in fs_err::read_dir(directory)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if !entry.file_type()?.is_file() {
            continue;
        }
        if let Some(start) = layout::archive_start(&name) {
            let written = Timestamp::try_from(entry.metadata()?.modified()?).unwrap_or(Timestamp::MIN);
            archives.push(Archive {
                start: start.to_owned(),
                name,
                written,
            });
        } else if is_unfinished(&name) {
            unfinished.push(name);
        }
    }
    unfinished.sort();
    Ok((archives, unfinished))
}

/// Whether a file is an unfinished download ([`super::part::PartialFile`]).
fn is_unfinished(name: &str) -> bool {
    let inner = name.strip_prefix('.').and_then(|name| name.split_once(".part"));
    inner.is_some_and(|(archive, _)| layout::archive_start(archive).is_some())
}

/// Names of archives to remove, the oldest first.
fn surplus(mut archives: Vec<Archive>, number: u32, received: &[String]) -> Vec<String> {
    archives.retain(|archive| !received.contains(&archive.name));
    archives.sort_by(|one, other| one.age().cmp(&other.age()));
    let others = usize::try_from(number)
        .unwrap_or(usize::MAX)
        .saturating_sub(received.len());
    archives.truncate(archives.len().saturating_sub(others));
    archives.into_iter().map(|archive| archive.name).collect()
}

fn name(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn archive(minute: u32, written: i64, run: &str) -> Archive {
        let start = format!("2026010100{minute:02}");
        Archive {
            name: format!("{start}_sonobuoy_{run}.tar.gz"),
            start,
            written: Timestamp::from_second(written).unwrap(),
        }
    }

    #[test]
    fn oldest_archives_are_removed_first() {
        // Two runs started in the same minute; the archive of minute 1 was copied here last.
        let archives = vec![
            archive(3, 30, "a"),
            archive(1, 90, "b"),
            archive(3, 20, "c"),
            archive(2, 20, "d"),
        ];
        let removed = |number, received: &[&str]| {
            let received: Vec<String> = received.iter().map(ToString::to_string).collect();
            let runs = surplus(archives.clone(), number, &received);
            let run = |name: &String| name.split('_').next_back().unwrap().replace(".tar.gz", "");
            runs.iter().map(run).collect::<Vec<_>>()
        };
        assert_eq!(removed(2, &["202601010003_sonobuoy_a.tar.gz"]), ["b", "d"]);
        assert_eq!(removed(1, &["202601010003_sonobuoy_a.tar.gz"]), ["b", "d", "c"]);
        assert_eq!(removed(4, &["202601010003_sonobuoy_a.tar.gz"]), [""; 0]);
        // After a clock went back, a received archive is retained despite its name.
        assert_eq!(removed(1, &["202601010001_sonobuoy_b.tar.gz"]), ["d", "c", "a"]);
    }

    #[test]
    fn only_unfinished_downloads_are_recognized() {
        for (name, is) in [
            (".202601010003_sonobuoy_a.tar.gz.part", true),
            (".202601010003_sonobuoy_a.tar.gz.part-17", true),
            ("202601010003_sonobuoy_a.tar.gz.part", false),
            (".vimrc.part", false),
            (".part", false),
        ] {
            assert_eq!(is_unfinished(name), is, "{name}");
        }
    }

    #[test]
    fn other_files_are_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let files = [
            "202601010001_sonobuoy_a.tar.gz",
            "202601010002_sonobuoy_b.tar.gz",
            "202601010003_sonobuoy_c.tar.gz",
            ".202601010000_sonobuoy_z.tar.gz.part",
            "200001010000_notes.tar.gz",
            "notes.txt",
        ];
        for file in files {
            fs_err::write(at(file), "x").unwrap();
        }
        fs_err::create_dir(at("200001010000_sonobuoy_a.tar.gz")).unwrap();
        remove_old(directory.path(), 2, &[at(files[2])], &Printer::for_this_process());
        let entries = fs_err::read_dir(directory.path()).unwrap();
        let mut left: Vec<String> = entries.map(|entry| name(&entry.unwrap().path()).unwrap()).collect();
        left.sort();
        assert_eq!(
            left,
            [files[4], "200001010000_sonobuoy_a.tar.gz", files[1], files[2], files[5]]
        );
    }

    proptest! {
        /// The received archive and the requested number of archives are retained.
        #[test]
        fn requested_number_is_retained(minutes in prop::collection::vec(0..60u32, 1..12), number in 1..6u32, last in 0..12usize) {
            let archives: Vec<Archive> = minutes.iter().zip(0..).map(|(minute, run)| archive(*minute, 0, &format!("r{run}"))).collect();
            let received = archives[last % archives.len()].name.clone();
            let removed = surplus(archives.clone(), number, std::slice::from_ref(&received));
            prop_assert!(!removed.contains(&received));
            prop_assert_eq!(archives.len() - removed.len(), archives.len().min(number as usize));
            let oldest_retained = archives.iter().filter(|archive| archive.name != received && !removed.contains(&archive.name)).map(|archive| &archive.start).min();
            for archive in archives.iter().filter(|archive| removed.contains(&archive.name)) {
                prop_assert!(oldest_retained.is_none_or(|retained| archive.start <= *retained));
            }
        }
    }
}
