//! `/proc/self/mountinfo` (proc(5)): which file system is where, and whether it can be written.

use crate::facts::Facts;

/// One mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where the machine sees it.
    pub(super) directory: String,
    /// `ext4`, `overlay`, …
    pub(super) kind: String,
    /// What is mounted, `/dev/sda1`.
    pub(super) source: String,
    /// The directory of the file system that is mounted; `/` when it is not a bind mount.
    origin: String,
    /// This mount may be written to.
    is_writable_here: bool,
    /// The file system as a whole may be written to.
    pub(super) is_writable: bool,
    /// The file system says that it stopped being written to after an error.
    says_emergency: bool,
}

impl Mount {
    /// Whether it stopped being written to by itself. Somebody who mounts read-only marks the mount as well as the file
    /// system; after an error only the file system is marked. That holds for kinds that are written to at all.
    pub(super) fn has_turned_read_only(&self) -> bool {
        let is_usually_written = ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs"].contains(&self.kind.as_str());
        let is_marked_here = !self.is_writable_here || (self.origin != "/" && self.kind != "btrfs");
        self.says_emergency || (is_usually_written && !self.is_writable && !is_marked_here)
    }
}

/// The mounts of the machine, in the order in which they were made; those outside its root are left out.
pub(super) fn mounts(facts: &Facts) -> Result<Vec<Mount>, String> {
    let text = facts.text("/proc/self/mountinfo")?;
    Ok(text.lines().filter_map(|line| mount(line, &facts.root)).collect())
}

/// The mount that a directory is on: the innermost one, and of those in one place the last.
pub(super) fn holding<'a>(mounts: &'a [Mount], directory: &str) -> Option<&'a Mount> {
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
        says_emergency: has(whole, "emergency_ro"),
    })
}

/// A directory below `root` as the machine itself calls it.
fn outside(directory: &str, root: &str) -> Option<String> {
    let rest = directory.strip_prefix(root.trim_end_matches('/'))?;
    match rest {
        "" => Some("/".to_owned()),
        rest => rest.starts_with('/').then(|| rest.to_owned()),
    }
}

/// Blanks and backslashes stand as three octal digits.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}
