//! Description of the machine.

use serde::Serialize;

#[derive(Debug, Clone, Serialize)]
pub(super) struct Facts {
    processors: usize,
    model: String,
    memory_mib: u64,
    kernel: String,
    file_system: String,
}

pub(super) fn facts(directory: &std::path::Path) -> Facts {
    let read = |path: &str| fs_err::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()))
    };
    let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let kilobytes: u64 = memory.trim_end_matches(" kB").parse().unwrap_or_default();
    Facts {
        processors: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        model: field(&read("/proc/cpuinfo"), "model name").unwrap_or_default(),
        memory_mib: kilobytes >> 10,
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        file_system: file_system(&read("/proc/self/mounts"), directory),
    }
}

/// Load average of the last minute, which shows other work on the machine.
pub(super) fn load_average() -> f64 {
    let text = fs_err::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ')
        .next()
        .and_then(|first| first.parse().ok())
        .unwrap_or_default()
}

/// File system type of a directory's mount.
fn file_system(mounts: &str, directory: &std::path::Path) -> String {
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((words.next()?, words.next()?))
        })
        .filter(|(point, _)| directory.starts_with(point))
        .max_by_key(|(point, _)| point.len())
        .map(|(_, kind)| kind.to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_system_is_of_nearest_mount() {
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n";
        assert_eq!(file_system(mounts, std::path::Path::new("/tmp/a")), "tmpfs");
        assert_eq!(file_system(mounts, std::path::Path::new("/home")), "ext4");
    }
}
