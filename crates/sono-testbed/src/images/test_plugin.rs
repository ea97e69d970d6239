//! The image of the test plugins: Debian's static busybox.

use anyhow::Context;
use fs_err as fs;

use super::{
    archive::{Image, Settings},
    reference,
    root::{Entry, Root},
};
use crate::{command, debian};

const APPLETS: &str = "cat chmod cp date echo env false grep gzip head hostname id kill ls mkdir mv nc nslookup printf ps rm \
                       sed seq sh sleep tail tar test touch true wc wget";

/// The image.
pub fn image() -> anyhow::Result<Image> {
    Ok(Image {
        reference: reference::TEST_PLUGIN.to_owned(),
        root: root()?,
        settings: Settings::running(&["/bin/sh"]),
    })
}

/// A shell and small tools.
pub(super) fn root() -> anyhow::Result<Root> {
    debian::ensure(&[debian::BUSYBOX])?;
    let busybox = command::find_program("busybox").context("busybox is not installed")?;
    // On Debian 12 /usr/bin/busybox is a file, on other systems a link.
    let mut root = Root::default()
        .with_basics()
        .with("/bin/busybox", Entry::Program(fs::canonicalize(busybox)?));
    for applet in APPLETS.split_whitespace() {
        root = root.with(&format!("/bin/{applet}"), Entry::Link("busybox".to_owned()));
    }
    Ok(root)
}
