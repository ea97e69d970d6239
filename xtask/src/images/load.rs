//! Puts an archive into a container runtime, unless the same image is there.

use super::archive::Archive;
use crate::{cluster::Runtime, command};

#[derive(PartialEq)]
pub(crate) enum Loaded {
    Imported,
    AlreadyThere,
}

pub(crate) fn load(runtime: &Runtime, archive: &Archive) -> anyhow::Result<Loaded> {
    let filter = format!("name=={}", archive.reference);
    let listed = command::output(runtime.ctr().args(["images", "list"]).arg(filter))?;
    // The digest column tells whether these very bytes are what the name points at.
    if listed.contains(&archive.digest) {
        return Ok(Loaded::AlreadyThere);
    }
    command::run(runtime.ctr().args(["images", "import"]).arg(&archive.path))?;
    Ok(Loaded::Imported)
}
