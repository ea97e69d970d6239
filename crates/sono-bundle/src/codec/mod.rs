//! Tar and gzip: packing and unpacking.

pub(crate) mod gzip;
pub(crate) mod name;
pub(crate) mod pack;
pub(crate) mod private;
pub(crate) mod rewrite;
pub(crate) mod unpack;
