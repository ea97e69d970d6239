//! Plugin definitions, run configuration and the Kubernetes objects rendered from them.
//!
//! Pure: text and values in, values and problems out. It knows how objects look, not how they get to a cluster. What a
//! user wrote stays `serde_json::Value`, because typed structs drop fields they do not know.

mod builtin;
mod definition;
mod edit;
mod expected;
mod load;
mod plugin_objects;
mod pod_defaults;
mod run_objects;
mod transform;

pub use builtin::{BUILTIN_NAMES, Images, builtin};
pub use definition::{Definition, DriverKind};
pub use expected::{NodeFacts, expected_results};
pub use load::{Problem, Severity, check_set, load};
pub use plugin_objects::{Owner, PluginLaunch, daemon_set, object_name, pod, secret, secret_name};
pub use run_objects::{CREATED_BY, RunObjects, run_objects, to_manifest};
pub use transform::{Preparation, prepare, reconcile_results_dir};
