//! Constants of result trees.

/// Values of `meta.type`.
pub(crate) mod kind {
    pub(crate) const SUMMARY: &str = "summary";
    pub(crate) const NODE: &str = "node";
    pub(crate) const FILE: &str = "file";
}

/// Keys of `meta`.
pub(crate) mod meta {
    pub(crate) const FILE: &str = "file";
    pub(crate) const TYPE: &str = "type";
    pub(crate) const ERROR: &str = "error";
    pub(crate) const PATH: &str = "path";
}
