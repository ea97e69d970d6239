//! Loads an archive into a container runtime, unless it has the same image.

use super::runtime::Runtime;
use crate::{command, images::Archive};

#[derive(PartialEq)]
pub(crate) enum Loaded {
    Imported,
    AlreadyLoaded,
}

pub(crate) fn load(runtime: &Runtime, archive: &Archive) -> anyhow::Result<Loaded> {
    let filter = format!("name=={}", archive.reference);
    let listed = command::output(runtime.ctr().args(["images", "list"]).arg(filter))?;
    // The digest column shows whether the name refers to the same bytes.
    if listed.contains(&archive.digest) {
        return Ok(Loaded::AlreadyLoaded);
    }
    command::run(runtime.ctr().args(["images", "import"]).arg(&archive.path))?;
    Ok(Loaded::Imported)
}
