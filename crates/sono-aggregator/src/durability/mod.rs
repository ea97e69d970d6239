//! State that survives the process: the journal on the volume, the checkpoint outside of it, and retries while the disk is full.

pub(crate) mod checkpoint;
pub(crate) mod checkpoint_codec;
pub(crate) mod disk_full;
pub(crate) mod journal;
pub(crate) mod ownership;
pub(crate) mod progress_file;
