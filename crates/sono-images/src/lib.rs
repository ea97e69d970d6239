//! Container images without a container engine: which ones a run needs, under which names a private registry has them,
//! and moving them between registries, a directory and an archive, over the registry API.
//!
//! Knows nothing of clusters, plugins' definitions or the terminal.

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
mod root;
mod suite;
mod translate;
mod trying;

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
pub use suite::{SuiteImage, SuiteImages, suite_images, suite_versions};
pub use translate::{Registries, Translated, Translation};
pub use trying::Progress;
