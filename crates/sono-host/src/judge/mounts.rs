//! Parses `/proc/self/mountinfo` (proc(5)): mounted file systems and whether they are writable.

use crate::facts::Facts;

/// One mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// The mount point, as the machine itself sees it.
    pub(super) directory: String,
    /// `ext4`, `overlay`, …
    pub(super) kind: String,
    /// The mounted device, such as `/dev/sda1`.
    pub(super) source: String,
    /// The mounted directory of the file system; `/` unless it is a bind mount.
    origin: String,
    /// Whether the mount is writable.
    is_writable_here: bool,
    /// Whether the file system is writable.
    pub(super) is_writable: bool,
    /// Whether the file system reports that an error made it read-only.
    is_emergency: bool,
}

impl Mount {
    /// Whether an error made it read-only. A read-only mount marks both the mount and the file system, an error only
    /// the file system. Applies to file systems that are normally writable.
    pub(super) fn has_turned_read_only(&self) -> bool {
        let is_usually_written = ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs"].contains(&self.kind.as_str());
        let is_marked_here = !self.is_writable_here || (self.origin != "/" && self.kind != "btrfs");
        self.is_emergency || (is_usually_written && !self.is_writable && !is_marked_here)
    }
}

/// The mounts of the machine in mount order, without those outside its root.
pub(super) fn mounts(facts: &Facts) -> Result<Vec<Mount>, String> {
    let text = facts.text("/proc/self/mountinfo")?;
    Ok(text.lines().filter_map(|line| mount(line, &facts.root)).collect())
}

/// The mount of a directory: the innermost one, or the last of several at the same place.
pub(super) fn mount_of<'a>(mounts: &'a [Mount], directory: &str) -> Option<&'a Mount> {
    let holds = |mount: &&Mount| {
        let rest = directory.strip_prefix(mount.directory.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    mounts.iter().filter(holds).max_by_key(|mount| mount.directory.len())
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn mount(line: &str, root: &str) -> Option<Mount> {
    let (place, file_system) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (origin, directory, options) = (place.next()?, place.next()?, place.next()?);
    let mut file_system = file_system.split(' ');
    let (kind, source, whole) = (file_system.next()?, file_system.next()?, file_system.next()?);
    let has = |options: &str, option: &str| options.split(',').any(|found| found == option);
    Some(Mount {
        directory: outside(&unescaped(directory), root)?,
        kind: kind.to_owned(),
        source: unescaped(source),
        origin: unescaped(origin),
        is_writable_here: !has(options, "ro"),
        is_writable: !has(whole, "ro") && !has(whole, "emergency_ro"),
        is_emergency: has(whole, "emergency_ro"),
    })
}

/// The path of a directory below `root` as the machine itself sees it.
fn outside(directory: &str, root: &str) -> Option<String> {
    let rest = directory.strip_prefix(root.trim_end_matches('/'))?;
    match rest {
        "" => Some("/".to_owned()),
        rest => rest.starts_with('/').then(|| rest.to_owned()),
    }
}

/// Decodes spaces, tabs, newlines and backslashes, which are encoded in octal.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}
