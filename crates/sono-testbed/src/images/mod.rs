//! Container images without a container engine: OCI archives with one layer, and the images of the test cluster and of test plugins.

mod archive;
pub mod reference;
mod root;
pub mod stand_ins;
mod system;
pub mod test_plugin;

pub use archive::{Archive, Image, Settings};
pub(crate) use root::short_hex;
pub use root::{Entry, Root};
pub(crate) use system::{coredns, pause, pause_source};
