//! Plugin definitions, and all Kubernetes objects of a run, rendered from them and the run's configuration.
//!
//! Containers, volumes and podSpecs of users are stored as `serde_json::Value`, so that unknown fields reach the cluster
//! unchanged. The crate does no I/O and reads no clock. `DEVIATIONS.md` lists intentional differences from Sonobuoy's
//! objects.

mod account;
mod api_rules;
mod builtin;
mod canaries;
mod change;
mod config_map;
mod containers;
mod definition;
mod e2e;
mod expected;
mod ginkgo_arguments;
mod lint;
mod load;
mod parallel;
mod permissions;
mod plugin_objects;
mod pod_security;
mod pod_spec;
mod problem;
mod rbac;
mod results_volume;
mod run_objects;
mod runner_role;
mod schema;
mod secrets;
mod security;
mod sizes;
mod suggest;
mod transform;
mod types;
mod unknown;

pub use api_rules::{Refused, refused_by_api_server};
pub use builtin::{BUILTIN_NAMES, Images, builtin};
pub use canaries::{CANARY_PLUGIN, canary_definition_name, canary_objects, canary_plugin, canary_resource};
pub use change::{Changes, E2E, UnknownPlugin, change_variables};
pub use definition::{Definition, DriverKind, PluginAccount, ResultRedaction};
pub use e2e::{Mode, Selection, any_of, exactly};
pub use expected::{NodeFacts, expected_results, left_out, node_labels};
pub use lint::lint;
pub use load::{check_set, load};
pub use parallel::{InvalidParallel, Parallel, ParallelError, ParallelNotice, parallelize};
pub use permissions::{Permission, Scope, permissions};
pub use plugin_objects::{
    Owner, PluginLaunch, daemon_set, expected_pod_spec, object_name, pod, run_secret, secret, secret_name,
};
pub use pod_security::pod_security_misfit;
pub use pod_spec::{default_pod_spec, uses_host_network};
pub use problem::{Problem, Severity};
pub use results_volume::{ResultsVolume, aggregator_spec_mut};
pub use run_objects::{CREATED_BY, RunObjects, run_objects, to_manifest};
pub use runner_role::{network_policies, runner_permissions, runner_role};
pub use schema::schema;
pub use secrets::{DOCKER_CONFIG_SECRET, docker_config_secret, ssh_key_secret};
pub use sizes::{InvalidQuantity, Quantity, Sizes};
pub use suggest::closest;
pub use transform::{AUTOMATIC_VARIABLES, Preparation, prepare, reconcile_results_dir};
