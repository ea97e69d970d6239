use serde_json::json;
use sono_types::item::status::{FAILED, PASSED, SKIPPED};

use super::*;
use crate::facts::{Space, Volume};

const MOUNTS: &str = "\
22 1 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
30 27 0:27 / /tmp rw,nosuid - tmpfs tmpfs rw,size=24684084k
31 27 0:28 /a\\040b /mnt/with\\040blank ro master:1 shared:7 - squashfs /dev/loop0 ro
";

const LIMITS: &str = "\
Limit                     Soft Limit           Hard Limit           Units
Max processes             96365                96365                processes
Max open files            20000                1048576              files
";

fn now() -> Timestamp {
    "2026-03-04T05:06:07Z".parse().unwrap()
}

/// A healthy Kubernetes node.
fn healthy() -> Facts {
    let texts = [
        (
            "/etc/hosts",
            "127.0.0.1 localhost\n::1 ip6-localhost localhost # both\n",
        ),
        ("/etc/nsswitch.conf", "passwd: files\nhosts: files dns\n"),
        (
            "/etc/os-release",
            "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
        ),
        (
            "/etc/resolv.conf",
            "; by hand\nnameserver 10.0.0.53\nsearch a.example b.example\n",
        ),
        ("/proc/loadavg", "1.34 2.23 2.02 1/215 25027\n"),
        (
            "/proc/meminfo",
            "MemTotal:       24684084 kB\nMemFree:        17437144 kB\nMemAvailable:   23759804 kB\nSwapTotal:      2097152 kB\nSwapFree:       1048576 kB\n",
        ),
        ("/proc/self/limits", LIMITS),
        ("/proc/self/mountinfo", MOUNTS),
        ("/proc/sys/fs/file-nr", "982\t0\t2466170\n"),
        ("/proc/sys/fs/inotify/max_user_instances", "128\n"),
        ("/proc/sys/fs/inotify/max_user_watches", "192536\n"),
        ("/proc/sys/kernel/hostname", "vm\n"),
        ("/proc/sys/kernel/osrelease", "6.18.44-fc-v669\n"),
        ("/proc/sys/kernel/pid_max", "4194304\n"),
        ("/proc/sys/kernel/threads-max", "192731\n"),
        ("/proc/sys/net/netfilter/nf_conntrack_count", "17\n"),
        ("/proc/sys/net/netfilter/nf_conntrack_max", "262144\n"),
        ("/proc/uptime", "93784.48 13622.76\n"),
        ("/proc/version", "Linux version 6.18.44-fc-v669 (builder@host) #1 SMP\n"),
        ("/proc/vmstat", "nr_free_pages 1\noom_kill 3\n"),
        ("/run/systemd/timesync/synchronized", ""),
        ("/sys/devices/system/cpu/online", "0-3,8\n"),
        ("/sys/fs/cgroup/cgroup.controllers", "cpu memory\n"),
        ("/sys/fs/ext4/vda/errors_count", "0\n"),
    ];
    let volume = |path: &str, device, total: u64| Volume {
        path: path.to_owned(),
        device,
        space: Space {
            total,
            available: total / 2,
            inodes: 1000,
            inodes_available: 500,
        },
    };
    Facts {
        node: "n1".to_owned(),
        root: "/".to_owned(),
        system: "linux".to_owned(),
        architecture: "x86_64".to_owned(),
        processors: Some(2),
        files: texts.map(|(path, text)| (path.to_owned(), Ok(text.to_owned()))).into(),
        processes: ["kubelet".to_owned()].into(),
        volumes: vec![
            volume("/", 1, 100 << 30),
            volume("/tmp", 2, 1 << 30),
            volume("/var/lib/kubelet", 1, 100 << 30),
        ],
    }
}

fn with(path: &str, text: &str) -> Facts {
    let mut facts = healthy();
    facts.files.insert(path.to_owned(), Ok(text.to_owned()));
    facts
}

fn without(path: &str) -> Facts {
    let mut facts = healthy();
    facts.files.remove(path);
    facts
}

/// The status of one check, and its `observed` or `why`.
fn outcome(facts: &Facts, name: &str) -> (String, String) {
    let tree = judge(facts, now());
    let item = tree.find(name).unwrap_or_else(|| panic!("no check {name}"));
    let key = if item.status == PASSED { "observed" } else { "why" };
    let text = item.details[key].as_str().unwrap();
    (item.status.clone(), text.to_owned())
}

#[track_caller]
fn expect(facts: &Facts, name: &str, status: &str, text: &str) {
    assert_eq!(outcome(facts, name), (status.to_owned(), text.to_owned()), "{name}");
}

fn shape(tree: &Item) -> Vec<(&str, Vec<(&str, &str)>)> {
    fn leaves(item: &Item) -> Vec<(&str, &str)> {
        let leaves = item.items.iter();
        leaves.map(|item| (item.name.as_str(), item.status.as_str())).collect()
    }
    tree.items
        .iter()
        .map(|item| (item.name.as_str(), leaves(item)))
        .collect()
}

#[test]
fn a_healthy_node_passes() {
    let tree = judge(&healthy(), now());
    assert_eq!(
        shape(&tree),
        [
            ("kernel", vec![("version", PASSED)]),
            ("memory", vec![("available", PASSED)]),
            (
                "disks",
                vec![
                    ("space on /", PASSED),
                    ("inodes on /", PASSED),
                    ("space on /tmp", PASSED),
                    ("inodes on /tmp", PASSED),
                    ("still writable", PASSED),
                    ("file system errors", PASSED),
                ]
            ),
            ("time", vec![("clock", PASSED), ("synchronised", PASSED)]),
            (
                "limits",
                vec![
                    ("open files of a process", PASSED),
                    ("open files of all processes", PASSED),
                    ("threads", PASSED),
                    ("inotify instances", PASSED),
                    ("inotify watches", PASSED),
                    ("tracked connections", PASSED),
                ]
            ),
            (
                "dns",
                vec![("nameservers", PASSED), ("search list", PASSED), ("localhost", PASSED)]
            ),
        ]
    );
    assert_eq!(tree.status, PASSED);
    let notes = |item: &Item| serde_json::to_value(&item.details).unwrap();
    assert_eq!(
        notes(&tree),
        json!({"node": "n1", "checked": "2026-03-04T05:06:07Z", "system": "linux"})
    );
    assert_eq!(
        notes(&tree.items[0]),
        json!({"architecture": "x86_64", "control-groups": "version 2", "distribution": "Debian GNU/Linux 12 (bookworm)",
            "load-averages": "1.34 2.23 2.02", "processors": 5, "up": "1 d 2 h 3 min"})
    );
    assert_eq!(
        notes(&tree.items[1]),
        json!({"out-of-memory-kills": 3, "swap": "1.0 GiB of 2.0 GiB in use"})
    );
}

#[test]
fn checks_without_data_are_skipped_with_the_reason() {
    let facts = Facts {
        system: "windows".to_owned(),
        ..Facts::default()
    };
    let tree = judge(&facts, now());
    let counts = tree.status_counts();
    assert_eq!(counts, [(PASSED.to_owned(), 1), (SKIPPED.to_owned(), 15)].into());
    assert_eq!(tree.status, PASSED);
    expect(&facts, "available", SKIPPED, "/proc/meminfo does not exist on windows");
    expect(
        &facts,
        "space",
        SKIPPED,
        "the free space of file systems cannot be determined on windows",
    );
    let mut facts = healthy();
    let denied = Err("permission denied".to_owned());
    facts.files.insert("/etc/hosts".to_owned(), denied);
    expect(
        &facts,
        "localhost",
        SKIPPED,
        "cannot read /etc/hosts: permission denied",
    );
}

#[test]
fn a_failed_check_fails_its_subject_and_the_whole() {
    let tree = judge(&with("/proc/sys/kernel/osrelease", "3.10.0-1160.el7\n"), now());
    let statuses: Vec<&str> = tree.items.iter().map(|item| item.status.as_str()).collect();
    assert_eq!(statuses, [FAILED, PASSED, PASSED, PASSED, PASSED, PASSED]);
    assert_eq!(tree.status, FAILED);
    assert_eq!(
        serde_json::to_value(&tree.items[0].items[0]).unwrap(),
        json!({"name": "version", "status": "failed", "details": {"observed": "3.10.0-1160.el7",
            "wanted": "4.19 or newer", "why": "3.10.0-1160.el7 is older than Kubernetes supports (4.19)"}})
    );
}

#[test]
fn machine_without_a_given_name_has_its_host_name() {
    let facts = Facts {
        node: String::new(),
        ..healthy()
    };
    assert_eq!(judge(&facts, now()).details["node"], "vm");
}

#[test]
fn kernels() {
    let cases = [
        ("4.19.0", PASSED),
        ("5.4", PASSED),
        ("4.18.0-553.el8_10.x86_64", PASSED),
        ("4.18.0", FAILED),
        ("4.9.337", FAILED),
        ("rolling", SKIPPED),
    ];
    for (release, status) in cases {
        let found = outcome(&with("/proc/sys/kernel/osrelease", release), "version");
        assert_eq!(found.0, status, "{release}");
    }
    let mut gvisor = with("/proc/sys/kernel/osrelease", "4.4.0\n");
    let version = "Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016\n";
    gvisor.files.insert("/proc/version".to_owned(), Ok(version.to_owned()));
    assert_eq!(outcome(&gvisor, "version").0, SKIPPED);
}

#[test]
fn processors_are_counted_from_the_system_or_else_the_process() {
    let count = |facts: &Facts| judge(facts, now()).items[0].details["processors"].clone();
    assert_eq!(count(&with("/sys/devices/system/cpu/online", "0\n")), 1);
    assert_eq!(count(&with("/sys/devices/system/cpu/online", "3-1\n")), 2);
    assert_eq!(count(&without("/sys/devices/system/cpu/online")), 2);
}

#[test]
fn memory() {
    let memory = |available: u64| {
        let text = format!("MemTotal: 1048576 kB\nMemAvailable: {available} kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n");
        with("/proc/meminfo", &text)
    };
    expect(&memory(52429), "available", PASSED, "51 MiB of 1.0 GiB (5.0 %)");
    expect(
        &memory(52428),
        "available",
        FAILED,
        "only 51 MiB of 1.0 GiB (4.9 %) of the memory is available; processes may be killed",
    );
    assert_eq!(judge(&memory(0), now()).items[1].details["swap"], "none");
    expect(
        &with("/proc/meminfo", "MemTotal: 5 kB\n"),
        "available",
        SKIPPED,
        "/proc/meminfo has no MemAvailable",
    );
}

fn volume(space: Space) -> Facts {
    let path = "/".to_owned();
    Facts {
        volumes: vec![Volume { path, device: 1, space }],
        ..healthy()
    }
}

#[test]
fn space() {
    let gib = 1 << 30;
    let cases = [
        (gib, gib / 20, PASSED),
        (gib, gib / 20 - 1, FAILED),
        (12 * gib, gib, PASSED),
        (12 * gib, gib - 1, FAILED),
        (100 * gib, 5 * gib, PASSED),
        (100 * gib, 5 * gib - 1, FAILED),
        (4000 * gib, 10 * gib, PASSED),
        (4000 * gib, 10 * gib - 1, FAILED),
        (0, 0, SKIPPED),
    ];
    for (total, available, status) in cases {
        let facts = volume(Space {
            total,
            available,
            ..Space::default()
        });
        assert_eq!(outcome(&facts, "space on /").0, status, "{available} of {total}");
    }
    let full = volume(Space {
        total: 100 * gib,
        available: gib,
        ..Space::default()
    });
    expect(
        &full,
        "space on /",
        FAILED,
        "only 1.0 GiB of 100 GiB (1.0 %) left on /, less than 5.0 GiB: pods are evicted, images cannot be pulled",
    );
}

#[test]
fn inodes() {
    let cases = [
        (1000, 50, PASSED),
        (1000, 49, FAILED),
        (100_000_000, 100_000, PASSED),
        (100_000_000, 99_999, FAILED),
        (0, 0, SKIPPED),
    ];
    for (inodes, inodes_available, status) in cases {
        let facts = volume(Space {
            inodes,
            inodes_available,
            ..Space::default()
        });
        assert_eq!(
            outcome(&facts, "inodes on /").0,
            status,
            "{inodes_available} of {inodes}"
        );
    }
}

#[test]
fn full_read_only_root_is_not_a_failure() {
    let mut facts = volume(Space {
        total: 1 << 30,
        inodes: 1000,
        ..Space::default()
    });
    let mounts = "27 1 7:0 / / ro,relatime - squashfs /dev/loop0 ro\n";
    facts
        .files
        .insert("/proc/self/mountinfo".to_owned(), Ok(mounts.to_owned()));
    expect(&facts, "space on /", SKIPPED, "squashfs of /dev/loop0 is read-only");
    expect(&facts, "inodes on /", SKIPPED, "squashfs of /dev/loop0 is read-only");
    expect(&facts, "still writable", PASSED, "1 mounts, none has become read-only");
}

#[test]
fn a_file_system_that_turned_read_only_is_found() {
    let cases = [
        ("27 1 8:1 / / rw - ext4 /dev/sda1 ro,errors=remount-ro", FAILED),
        ("27 1 8:1 / / rw - ext4 /dev/sda1 rw,emergency_ro", FAILED),
        ("27 1 8:1 / / ro - ext4 /dev/sda1 ro", PASSED),
        ("27 1 8:1 / / ro - ext4 /dev/sda1 rw", PASSED),
        ("27 1 8:1 /etc/hosts / rw - ext4 /dev/sda1 ro", PASSED),
        ("27 1 0:9 /@ / rw - btrfs /dev/sda1 ro,subvol=/@", FAILED),
        ("27 1 7:0 / / rw - squashfs /dev/loop0 ro", PASSED),
        ("27 1 7:0 / / rw - iso9660 /dev/sr0 ro", PASSED),
    ];
    for (line, status) in cases {
        assert_eq!(
            outcome(&with("/proc/self/mountinfo", line), "still writable").0,
            status,
            "{line}"
        );
    }
    expect(
        &with("/proc/self/mountinfo", cases[0].0),
        "still writable",
        FAILED,
        "/: read-only although mounted writable, as after an I/O error",
    );
}

#[test]
fn mount_points_are_relative_to_the_root_of_the_machine() {
    let text = "\
1 0 0:1 / / rw - overlay overlay rw
2 1 8:1 / /host ro - ext4 /dev/sda1 rw
3 2 8:2 / /host/var/lib\\040x rw - xfs /dev/sda2 rw
4 1 8:1 /pods /hostile rw - ext4 /dev/sda1 rw
";
    let facts = Facts {
        root: "/host".to_owned(),
        ..with("/proc/self/mountinfo", text)
    };
    let mounts = mounts::mounts(&facts).unwrap();
    let places: Vec<(&str, &str)> = mounts
        .iter()
        .map(|mount| (mount.directory.as_str(), mount.source.as_str()))
        .collect();
    assert_eq!(places, [("/", "/dev/sda1"), ("/var/lib x", "/dev/sda2")]);
    let holding = |directory| mounts::mount_of(&mounts, directory).map(|mount| mount.source.as_str());
    assert_eq!(holding("/var/lib x/y"), Some("/dev/sda2"));
    assert_eq!(holding("/var/lib xy"), Some("/dev/sda1"));
    assert_eq!(holding("/"), Some("/dev/sda1"));
}

#[test]
fn counted_file_system_errors_fail() {
    expect(
        &with("/sys/fs/ext4/sdb/errors_count", "2\n"),
        "file system errors",
        FAILED,
        "ext4 reported errors on sdb (2): check the file system",
    );
    expect(
        &without("/sys/fs/ext4/vda/errors_count"),
        "file system errors",
        SKIPPED,
        "no file system reports error counts (ext4 does)",
    );
}

#[test]
fn the_clock() {
    for (time, status) in [
        ("1970-01-01T00:00:10Z", FAILED),
        ("2024-12-31T23:59:59Z", FAILED),
        ("2025-01-01T00:00:00Z", PASSED),
        ("2100-01-01T00:00:00Z", FAILED),
    ] {
        let tree = judge(&healthy(), time.parse().unwrap());
        assert_eq!(tree.find("clock").unwrap().status, status, "{time}");
    }
}

#[test]
fn time_synchronisation() {
    let machine = |process: &str, uptime: &str| {
        let mut facts = without("/run/systemd/timesync/synchronized");
        facts.processes.insert(process.to_owned());
        facts.files.insert("/proc/uptime".to_owned(), Ok(uptime.to_owned()));
        outcome(&facts, "synchronised").0
    };
    assert_eq!(machine("chronyd", "9999.1 1"), PASSED);
    assert_eq!(machine("sshd", "9999.1 1"), SKIPPED);
    assert_eq!(machine("systemd-timesyn", "899.9 1"), SKIPPED);
    assert_eq!(machine("systemd-timesyn", "900.0 1"), FAILED);
}

#[test]
fn open_files() {
    let limits = |soft: &str| {
        with(
            "/proc/self/limits",
            &format!("Max open files   {soft}   4096   files\n"),
        )
    };
    let name = "open files of a process";
    expect(&limits("1024"), name, PASSED, "1024, may be raised to 4096");
    expect(&limits("unlimited"), name, PASSED, "unlimited, may be raised to 4096");
    expect(
        &limits("1023"),
        name,
        FAILED,
        "a process may open only 1023 files: servers need more",
    );
    let without = with("/proc/self/limits", "Limit\n");
    expect(
        &without,
        name,
        SKIPPED,
        "/proc/self/limits does not have the limit on open files",
    );
}

#[test]
fn tables_that_are_nearly_full_fail() {
    let name = "open files of all processes";
    expect(
        &with("/proc/sys/fs/file-nr", "950\t51\t1000"),
        name,
        PASSED,
        "899 of 1000 (89.9 %)",
    );
    expect(
        &with("/proc/sys/fs/file-nr", "950\t50\t1000"),
        name,
        FAILED,
        "900 of 1000 (90.0 %) open files are in use: the limit will be reached soon",
    );
    let broken = outcome(&with("/proc/sys/fs/file-nr", "950 x"), name);
    assert_eq!(broken.0, SKIPPED);
    // Each thread needs an ID, so the smaller limit counts.
    expect(
        &with("/proc/sys/kernel/pid_max", "430"),
        "threads",
        PASSED,
        "215 of 430 (50.0 %)",
    );
    assert_eq!(
        outcome(&with("/proc/sys/kernel/threads-max", "220"), "threads").0,
        FAILED
    );
    let count = "/proc/sys/net/netfilter/nf_conntrack_count";
    assert_eq!(outcome(&with(count, "262144\n"), "tracked connections").0, FAILED);
    expect(
        &without(count),
        "tracked connections",
        SKIPPED,
        "/proc/sys/net/netfilter/nf_conntrack_count does not exist",
    );
    let most = "/proc/sys/net/netfilter/nf_conntrack_max";
    expect(&with(most, "0"), "tracked connections", PASSED, "17, without a limit");
}

#[test]
fn inotify() {
    expect(
        &with("/proc/sys/fs/inotify/max_user_instances", "127"),
        "inotify instances",
        FAILED,
        "/proc/sys/fs/inotify/max_user_instances is 127: kubelet and log collectors need more",
    );
    assert_eq!(
        outcome(
            &with("/proc/sys/fs/inotify/max_user_watches", "8191"),
            "inotify watches"
        )
        .0,
        FAILED
    );
}

#[test]
fn nameservers() {
    let resolver = |text: &str| with("/etc/resolv.conf", text);
    let name = "nameservers";
    expect(
        &resolver("nameserver 127.0.0.53\nnameserver fe80::1%eth0\n"),
        name,
        PASSED,
        "127.0.0.53 (on this machine, unreachable from pods), fe80::1%eth0",
    );
    expect(
        &resolver("# nameserver 10.0.0.1\n"),
        name,
        FAILED,
        "/etc/resolv.conf has no nameserver: external names cannot be resolved",
    );
    expect(
        &resolver("nameserver ten\n"),
        name,
        FAILED,
        "/etc/resolv.conf has an invalid nameserver: \"ten\"",
    );
    expect(
        &resolver("nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n"),
        name,
        FAILED,
        "4 nameservers, of which only the first 3 are used: 10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4",
    );
    let mut resolved = resolver("");
    let modules = "hosts: mymachines resolve [!UNAVAIL=return] files dns\n";
    resolved
        .files
        .insert("/etc/nsswitch.conf".to_owned(), Ok(modules.to_owned()));
    assert_eq!(outcome(&resolved, name).0, SKIPPED);
}

#[test]
fn search_lists() {
    let list = |count: usize, domain: &str| {
        let text = format!("search first.example\nsearch {}\n", vec![domain; count].join(" "));
        outcome(&with("/etc/resolv.conf", &text), "search list").0
    };
    assert_eq!(list(32, "a.example"), PASSED);
    assert_eq!(list(33, "a.example"), FAILED);
    assert_eq!(list(32, &"a".repeat(64)), FAILED);
    expect(
        &with("/etc/resolv.conf", "nameserver 10.0.0.1\n"),
        "search list",
        PASSED,
        "empty",
    );
}

#[test]
fn localhost() {
    let hosts = |text: &str| with("/etc/hosts", text);
    expect(&hosts("127.0.1.1 vm LOCALHOST\n"), "localhost", PASSED, "127.0.1.1");
    expect(
        &hosts("10.0.0.1 localhost\n"),
        "localhost",
        FAILED,
        "/etc/hosts maps localhost to 10.0.0.1",
    );
    expect(
        &hosts("127.0.0.1 vm # localhost\nlocalhost\n"),
        "localhost",
        FAILED,
        "/etc/hosts does not define localhost, so it is resolved by the nameservers",
    );
    let mut systemd = hosts("");
    let modules = "hosts: files myhostname dns\n";
    systemd
        .files
        .insert("/etc/nsswitch.conf".to_owned(), Ok(modules.to_owned()));
    expect(&systemd, "localhost", PASSED, "resolved by systemd");
}
