//! Programs from Debian packages.

use std::path::Path;

use anyhow::bail;

use crate::{command, step::long_step};

/// A Debian package.
#[derive(Debug)]
pub struct Package {
    name: &'static str,
    /// A program name or an absolute path, which shows that the package is installed.
    provides: &'static str,
}

/// Static busybox.
pub const BUSYBOX: Package = Package {
    name: "busybox-static",
    provides: "busybox",
};

/// The library that changes the clock of programs.
pub const FAKETIME: Package = Package {
    name: "libfaketime",
    provides: if cfg!(target_arch = "aarch64") {
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1"
    } else {
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
    },
};

/// Path of Debian's network plugins.
pub(crate) const CNI_PLUGINS: &str = "/usr/lib/cni";

/// The packages of the test cluster.
pub(crate) const CLUSTER: [Package; 8] = [
    Package {
        name: "etcd-server",
        provides: "etcd",
    },
    Package {
        name: "runc",
        provides: "runc",
    },
    Package {
        name: "containernetworking-plugins",
        provides: "/usr/lib/cni/bridge",
    },
    Package {
        name: "iptables",
        provides: "iptables",
    },
    Package {
        name: "conntrack",
        provides: "conntrack",
    },
    Package {
        name: "socat",
        provides: "socat",
    },
    Package {
        name: "iproute2",
        provides: "ip",
    },
    BUSYBOX,
];

/// Installs missing packages.
pub fn ensure(packages: &[Package]) -> anyhow::Result<()> {
    let missing: Vec<_> = packages
        .iter()
        .filter(|package| !package.is_installed())
        .map(|package| package.name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if command::find_program("apt-get").is_none() {
        bail!("missing Debian packages, and apt-get is not available to install them: {list}");
    }
    // The package starts its own etcd, which the cluster does not use.
    let etcd_service = missing.contains(&"etcd-server") && Path::new("/run/systemd/system").exists();
    if etcd_service {
        command::run(&mut command::new("systemctl", ["mask", "etcd.service"]))?;
    }
    long_step(&format!("installing {list}"), &format!("installed {list}"), || {
        let install = || {
            let mut apt = command::new("apt-get", ["install", "-y", "-q", "--no-install-recommends"]);
            command::run(apt.args(&missing).env("DEBIAN_FRONTEND", "noninteractive"))
        };
        // Update the package lists only if they are missing or outdated.
        install().or_else(|_| {
            command::run(&mut command::new("apt-get", ["update", "-q"]))?;
            install()
        })
    })
}

impl Package {
    /// Whether this machine has the package.
    pub fn is_installed(&self) -> bool {
        if self.provides.starts_with('/') {
            Path::new(self.provides).exists()
        } else {
            command::find_program(self.provides).is_some()
        }
    }
}
