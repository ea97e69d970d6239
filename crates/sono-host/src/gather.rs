//! Reads a machine. Unreadable files are stored as errors, which `judge` reports.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{ErrorKind, Read as _},
    path::Path,
};

use crate::{
    disk_space::disk_space,
    facts::{Facts, Volume},
    rooted_path::rooted_path,
};

/// Bytes read of a file. The largest one has a few thousand bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Files of the machine.
const FILES: [&str; 21] = [
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/resolv.conf",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/sys/fs/file-nr",
    "/proc/sys/fs/inotify/max_user_instances",
    "/proc/sys/fs/inotify/max_user_watches",
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/kernel/pid_max",
    "/proc/sys/kernel/threads-max",
    "/proc/sys/net/netfilter/nf_conntrack_count",
    "/proc/sys/net/netfilter/nf_conntrack_max",
    "/proc/uptime",
    "/proc/version",
    "/proc/vmstat",
    "/run/systemd/timesync/synchronized",
    "/sys/devices/system/cpu/online",
    "/sys/fs/cgroup/cgroup.controllers",
];

/// Files of this process, which differ per container.
const OWN_FILES: [&str; 2] = ["/proc/self/limits", "/proc/self/mountinfo"];

/// Directories that often have a file system of their own, outermost first.
const DIRECTORIES: [&str; 8] = [
    "/",
    "/tmp",
    "/var",
    "/var/log",
    "/var/lib/containerd",
    "/var/lib/docker",
    "/var/lib/etcd",
    "/var/lib/kubelet",
];

/// Reads the machine with the root directory `root`. `node` is its name in the cluster, possibly empty.
pub fn gather(root: &Path, node: &str) -> Facts {
    let mut files = BTreeMap::new();
    let mut insert = |name: String, text: Option<Result<String, String>>| {
        if let Some(text) = text {
            files.insert(name, text);
        }
    };
    for name in FILES {
        insert(name.to_owned(), read(&rooted_path(root, name)));
    }
    for name in OWN_FILES {
        insert(name.to_owned(), read(Path::new(name)));
    }
    for device in names(&rooted_path(root, "/sys/fs/ext4")) {
        let name = format!("/sys/fs/ext4/{device}/errors_count");
        let text = read(&rooted_path(root, &name));
        insert(name, text);
    }
    let processes: BTreeSet<String> = names(&rooted_path(root, "/proc"))
        .into_iter()
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter_map(|id| read(&rooted_path(root, &format!("/proc/{id}/comm")))?.ok())
        .map(|name| name.trim_end().to_owned())
        .collect();
    let volumes = DIRECTORIES
        .into_iter()
        .filter_map(|directory| {
            let (device, space) = disk_space(&rooted_path(root, directory))?;
            let path = directory.to_owned();
            Some(Volume { path, device, space })
        })
        .collect();
    Facts {
        node: node.to_owned(),
        root: root.to_string_lossy().into_owned(),
        system: std::env::consts::OS.to_owned(),
        architecture: std::env::consts::ARCH.to_owned(),
        processors: std::thread::available_parallelism()
            .ok()
            .and_then(|count| u64::try_from(count.get()).ok()),
        files,
        processes,
        volumes,
    }
}

/// Reads a regular file; `None` if it does not exist. Other files are not opened, since opening a FIFO may block.
fn read(path: &Path) -> Option<Result<String, String>> {
    let text = || {
        let mut bytes = Vec::new();
        if !fs_err::metadata(path)?.is_file() {
            return Err(std::io::Error::other("not a regular file"));
        }
        fs_err::File::open(path)?.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match text() {
        Ok(text) => Some(Ok(text)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => None,
        Err(error) => Some(Err(reason(&error))),
    }
}

/// The system's message; that of fs-err repeats the path, which is reported separately.
fn reason(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(std::error::Error::source);
    inner.map_or_else(|| error.to_string(), ToString::to_string)
}

/// The names in a directory; empty if it cannot be read.
fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs_err::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    #[test]
    fn a_machine_is_read_below_its_root() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        write(root, "proc/uptime", "5.0 9.0\n");
        write(root, "proc/17/comm", "chronyd\n");
        write(root, "proc/18/comm", "chronyd\n");
        write(root, "proc/sys/comm", "no process\n");
        write(root, "sys/fs/ext4/sda1/errors_count", "0\n");
        write(root, "sys/fs/ext4/features/lazy", "supported\n");
        fs_err::create_dir_all(root.join("etc/hosts")).unwrap();
        fs_err::create_dir_all(root.join("var/log")).unwrap();
        let mut facts = gather(root, "n1");
        for own in OWN_FILES {
            facts.files.remove(own);
        }
        let expected = [
            ("/etc/hosts", Err("not a regular file".to_owned())),
            ("/proc/uptime", Ok("5.0 9.0\n".to_owned())),
            ("/sys/fs/ext4/sda1/errors_count", Ok("0\n".to_owned())),
        ];
        assert_eq!(facts.files, expected.map(|(name, text)| (name.to_owned(), text)).into());
        assert_eq!(facts.processes, ["chronyd".to_owned()].into());
        assert_eq!(
            (facts.node.as_str(), facts.root.as_str()),
            ("n1", root.to_str().unwrap())
        );
        #[cfg(unix)]
        {
            let paths: Vec<&str> = facts.volumes.iter().map(|volume| volume.path.as_str()).collect();
            assert_eq!(paths, ["/", "/var", "/var/log"]);
            assert!(facts.volumes.iter().all(|volume| volume.space.total > 0), "{facts:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn fifo_does_not_block() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("etc/hosts");
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).unwrap();
        assert_eq!(
            gather(directory.path(), "").files.get("/etc/hosts"),
            Some(&Err("not a regular file".to_owned()))
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_its_files() {
        let facts = gather(Path::new("/"), "");
        for name in [
            "/proc/version",
            "/proc/meminfo",
            "/proc/self/limits",
            "/proc/self/mountinfo",
        ] {
            assert!(facts.text(name).is_ok_and(|text| !text.is_empty()), "{name}: {facts:?}");
        }
    }
}
