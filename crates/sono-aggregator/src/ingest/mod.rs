//! Uploads: the routes for workers, limits, bodies, and their storage.

pub(crate) mod content_disposition;
pub(crate) mod error;
pub(crate) mod quota;
pub(crate) mod resume;
pub(crate) mod routes;
pub(crate) mod spool;
pub(crate) mod staging;
pub(crate) mod upload;

pub use content_disposition::file_name as disposition_file_name;
