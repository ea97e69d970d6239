//! Container images without a container engine: which ones a run needs, under which names a private registry has them,
//! and moving them between registries, a directory and an archive, over the registry API.
//!
//! Knows nothing of clusters, plugins' definitions or the terminal.

mod artifact;
mod copy;
mod credentials;
mod error;
mod inspect;
mod layout;
mod platform;
mod registry;
mod suite;
mod translate;

pub use artifact::{ArtifactFile, artifact_file};
pub use copy::{Copied, Progress, pull, push};
pub use credentials::{Credentials, Login};
pub use error::ImageError;
pub use inspect::{Inspected, inspect};
pub use layout::{Layout, Stored};
pub use platform::{Platform, Platforms};
pub use registry::{Options, Registry};
pub use suite::{SuiteImage, SuiteImages, suite_images, suite_versions};
pub use translate::{Registries, Translated, Translation};
