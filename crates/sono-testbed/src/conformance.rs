//! Images of the real Kubernetes suite, with the same file paths and names as the published ones.

use std::path::{Path, PathBuf};

use anyhow::Context;
use fs_err as fs;

use crate::{
    cluster, command, debian,
    images::{self, Archive, Entry, Image, Root, Settings, reference},
    step::step,
};

/// `PATH` as in the images that the suite expects.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Builds the suite and writes its images to `out`.
pub fn build(out: &Path) -> anyhow::Result<Vec<Archive>> {
    debian::ensure(&[debian::BUSYBOX])?;
    let version = cluster::version()?;
    let programs = cluster::suite(&version)?;
    let kubectl = cluster::of_kubernetes(&version)?.join("kubectl");
    let busybox = Busybox::find()?;
    let mut images = vec![
        suite(
            &format!("{}:v{version}", reference::CONFORMANCE),
            &programs,
            kubectl,
            &busybox,
        ),
        shell(&busybox),
    ];
    images.extend(reference::AGNHOST.map(|name| agnhost(name, &programs, &busybox)));
    let mut pause = images::pause(out)?;
    reference::SUITE_PAUSE.clone_into(&mut pause.reference);
    images.push(pause);
    let archives = images
        .iter()
        .map(|image| step(&format!("packed {}", image.reference), || image.write_to(out)));
    archives.collect()
}

/// Settings with the usual `PATH` and user root: the suite's pods set their own user where it matters.
fn settings(entrypoint: &[&str], command: &[&str], environment: &[&str]) -> Settings {
    let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    Settings {
        user: 0,
        entrypoint: owned(entrypoint),
        command: owned(command),
        environment: [&[PATH], environment]
            .concat()
            .iter()
            .map(ToString::to_string)
            .collect(),
    }
}

fn suite(name: &str, programs: &Path, kubectl: PathBuf, busybox: &Busybox) -> Image {
    let program = |name: &str| Entry::Program(programs.join(name));
    let root = busybox
        .root()
        .with("/usr/local/bin/e2e.test", program("e2e.test"))
        .with("/usr/local/bin/ginkgo", program("ginkgo"))
        .with("/usr/local/bin/kubectl", Entry::Program(kubectl))
        .with("/usr/local/bin/kubeconformance", program("go-runner"))
        // Old plugins start these.
        .with("/run_e2e.sh", Entry::Link("usr/local/bin/kubeconformance".to_owned()))
        .with("/gorunner", Entry::Link("usr/local/bin/kubeconformance".to_owned()));
    let environment = [
        r"E2E_FOCUS=\[Conformance\]",
        "E2E_SKIP=",
        "E2E_PROVIDER=local",
        "E2E_PARALLEL=1",
        "E2E_VERBOSITY=4",
        "RESULTS_DIR=/tmp/results",
        "KUBECONFIG=",
    ];
    Image {
        reference: name.to_owned(),
        root,
        settings: settings(&["kubeconformance"], &[], &environment),
    }
}

/// Tests compare these users and groups, and override the entry point with the second name.
fn agnhost(name: &str, programs: &Path, busybox: &Busybox) -> Image {
    let root = busybox
        .root()
        .with("/agnhost", Entry::Program(programs.join("agnhost")))
        .with("/agnhost-2", Entry::Link("agnhost".to_owned()))
        .with("/uploads", Entry::Directory { mode: 0o755 })
        .with(
            "/etc/passwd",
            Entry::Text(
                "root:x:0:0:root:/root:/bin/sh\nuser-defined-in-image:x:1000:1000:Linux User:/home/user-defined-in-image:/bin/sh\n"
                    .to_owned(),
            ),
        )
        .with(
            "/etc/group",
            Entry::Text(
                "root:x:0:root\nuser-defined-in-image:x:1000:\ngroup-defined-in-image:x:50000:user-defined-in-image\n".to_owned(),
            ),
        );
    Image {
        reference: name.to_owned(),
        root,
        settings: settings(&["/agnhost"], &["pause"], &[]),
    }
}

fn shell(busybox: &Busybox) -> Image {
    Image {
        reference: reference::BUSYBOX.to_owned(),
        root: busybox.root(),
        settings: settings(&[], &["sh"], &[]),
    }
}

struct Busybox {
    program: PathBuf,
    applets: String,
}

impl Busybox {
    fn find() -> anyhow::Result<Self> {
        let program = command::find_program("busybox").context("busybox is not installed")?;
        Ok(Self {
            applets: command::output(&mut command::new(&program, ["--list"]))?,
            // On Debian 12 /usr/bin/busybox is a file, on other systems a link.
            program: fs::canonicalize(program)?,
        })
    }

    fn root(&self) -> Root {
        let root = Root::default()
            .with_basics()
            .with("/bin/busybox", Entry::Program(self.program.clone()));
        let others = self.applets.lines().filter(|applet| *applet != "busybox");
        others.fold(root, |root, applet| {
            root.with(&format!("/bin/{applet}"), Entry::Link("busybox".to_owned()))
        })
    }
}
