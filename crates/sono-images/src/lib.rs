//! Container images without a container engine: the images of a run, their names in private registries, and copying
//! between registries, directories and archives.
//!
//! It knows nothing about clusters, plugin definitions or the terminal.

mod artifact;
mod combine;
mod copy;
mod credentials;
mod error;
mod import;
mod inspect;
mod layout;
mod platform;
mod publish;
mod registry;
mod retry;
mod root;
mod suite;
mod translate;

pub use artifact::{ArtifactFile, artifact_file};
pub use combine::{Combined, combine};
pub use copy::{Copied, pull, push};
pub use credentials::{Credentials, Login};
pub use error::ImageError;
pub use import::import;
pub use inspect::{Inspected, inspect};
pub use layout::{Layout, Stored};
pub use platform::{Platform, Platforms};
pub use publish::{stage, tag, tagged};
pub use registry::{Options, Registry};
pub use retry::Progress;
pub use suite::{SuiteImage, SuiteImages, suite_images, suite_versions};
pub use translate::{Registries, Translated, Translation};
