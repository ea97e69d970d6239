//! Space, inodes and read-only state of the file systems of a node.

use std::collections::{BTreeMap, BTreeSet};

use sono_types::Item;

use super::{
    amount::{bytes, is_at_least, percentage},
    check::{check, group, known, skipped},
    mounts::{Mount, mount_of, mounts},
};
use crate::facts::{Facts, Space};

/// Required free share of space and inodes, in percent.
const MIN_PERCENT: u64 = 5;
const GIB: u64 = 1 << 30;
/// Number of free inodes that is always sufficient.
const SUFFICIENT_INODES: u64 = 100_000;

pub(super) fn judge(facts: &Facts) -> Item {
    let mounts = mounts(facts);
    let known_mounts = mounts.as_deref().unwrap_or_default();
    let mut seen = BTreeSet::new();
    let mut items = Vec::new();
    for volume in &facts.volumes {
        if seen.insert(volume.device) {
            let mount = mount_of(known_mounts, &volume.path);
            let read_only = mount.filter(|mount| !mount.is_writable);
            items.push(space(&volume.path, &volume.space, read_only));
            items.push(inodes(&volume.path, &volume.space, read_only));
        }
    }
    if items.is_empty() {
        let why = format!(
            "the free space of file systems cannot be determined on {}",
            facts.system
        );
        items.push(skipped("space", why));
    }
    items.push(writable(&mounts));
    items.push(errors(facts));
    group("disks", BTreeMap::new(), items)
}

/// Required free space: 5 %, but at most 10 GiB, and at least 1 GiB unless the file system is smaller than 10 GiB.
fn required_space(total: u64) -> u64 {
    let part = total / (100 / MIN_PERCENT);
    if total < 10 * GIB {
        part
    } else {
        part.clamp(GIB, 10 * GIB)
    }
}

/// Checks the space of a file system. Read-only file systems need none and are skipped.
fn space(directory: &str, space: &Space, read_only: Option<&Mount>) -> Item {
    let name = format!("space on {directory}");
    if space.total == 0 {
        return skipped(&name, "the file system does not report its size");
    }
    if let Some(mount) = read_only {
        return skipped(&name, is_read_only(mount));
    }
    let required = required_space(space.total);
    let left = format!(
        "{} of {} ({})",
        bytes(space.available),
        bytes(space.total),
        percentage(space.available, space.total)
    );
    let complaint = (space.available < required).then(|| {
        format!(
            "only {left} left on {directory}, less than {}: pods are evicted, images cannot be pulled",
            bytes(required)
        )
    });
    check(&name, &format!("{} or more", bytes(required)), left, complaint)
}

fn is_read_only(mount: &Mount) -> String {
    format!("{} of {} is read-only", mount.kind, mount.source)
}

fn inodes(directory: &str, space: &Space, read_only: Option<&Mount>) -> Item {
    let name = format!("inodes on {directory}");
    if let Some(mount) = read_only {
        return skipped(&name, is_read_only(mount));
    }
    if space.inodes == 0 {
        return skipped(&name, "the file system allocates inodes dynamically");
    }
    let (left, all) = (space.inodes_available, space.inodes);
    let observed = format!("{left} of {all} ({})", percentage(left, all));
    let is_enough = left >= SUFFICIENT_INODES || is_at_least(left, MIN_PERCENT, all);
    let complaint =
        (!is_enough).then(|| format!("only {observed} inodes left on {directory}: file creation will fail soon"));
    check(
        &name,
        &format!("{MIN_PERCENT} % or {SUFFICIENT_INODES}"),
        observed,
        complaint,
    )
}

fn writable(mounts: &Result<Vec<Mount>, String>) -> Item {
    let name = "still writable";
    known(name, mounts.as_ref().map_err(Clone::clone), |mounts| {
        let turned: BTreeSet<&str> = mounts
            .iter()
            .filter(|mount| mount.has_turned_read_only())
            .map(|mount| mount.directory.as_str())
            .collect();
        let places = turned.into_iter().collect::<Vec<_>>().join(", ");
        let wanted = "no file system has become read-only";
        if places.is_empty() {
            return check(
                name,
                wanted,
                format!("{} mounts, none has become read-only", mounts.len()),
                None,
            );
        }
        let complaint = format!("{places}: read-only although mounted writable, as after an I/O error");
        check(name, wanted, places, Some(complaint))
    })
}

/// Checks the error counts that ext4 has recorded since its last check.
fn errors(facts: &Facts) -> Item {
    let name = "file system errors";
    let counted: Vec<(&str, u64)> = facts
        .files
        .keys()
        .filter_map(|path| {
            let device = path.strip_prefix("/sys/fs/ext4/")?.strip_suffix("/errors_count")?;
            Some((device, facts.number(path).ok()?))
        })
        .collect();
    if counted.is_empty() {
        return skipped(name, "no file system reports error counts (ext4 does)");
    }
    let damaged: Vec<String> = counted
        .iter()
        .filter(|(_, errors)| *errors > 0)
        .map(|(device, errors)| format!("{device} ({errors})"))
        .collect();
    let devices: Vec<&str> = counted.iter().map(|(device, _)| *device).collect();
    let observed = if damaged.is_empty() {
        format!("none on {}", devices.join(", "))
    } else {
        damaged.join(", ")
    };
    let complaint = (!damaged.is_empty()).then(|| format!("ext4 reported errors on {observed}: check the file system"));
    check(name, "none", observed, complaint)
}
