//! The test cluster's own images.

use std::path::{Path, PathBuf};

use super::{
    archive::{Image, Settings},
    reference,
    root::{Entry, Root},
};
use crate::{command, repository};

/// Compiles the pause program into `directory` with the C compiler that Rust also uses for linking.
pub(crate) fn pause(directory: &Path) -> anyhow::Result<Image> {
    let program = directory.join("pause");
    command::run(
        command::new("cc", ["-static", "-Os", "-s", "-o"])
            .arg(&program)
            .arg(pause_source()),
    )?;
    let root = Root::default().with("/pause", Entry::Program(program));
    Ok(Image {
        reference: reference::PAUSE.to_owned(),
        root,
        settings: Settings::running(&["/pause"]),
    })
}

pub(crate) fn pause_source() -> PathBuf {
    repository::root().join("deploy/images/pause/pause.c")
}

pub(crate) fn coredns(program: PathBuf) -> Image {
    let root = Root::default().with_basics().with("/coredns", Entry::Program(program));
    Image {
        reference: reference::COREDNS.to_owned(),
        root,
        settings: Settings::running(&["/coredns"]),
    }
}
