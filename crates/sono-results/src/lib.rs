//! Parses result files into item trees, rolls up statuses, evaluates cluster health and renders reports.
//!
//! The crate does no I/O of its own. It reads files through [`sono_types::ResultFiles`] and returns values; it does not know
//! where files are stored or how reports are printed.

mod aggregate;
mod compatibility;
mod detailed;
mod documents;
mod formats;
mod go_print;
mod health;
mod junit_report;
mod limits;
mod measure;
mod process;
mod report;
mod select;
mod stream;
mod summary;
mod tree;
mod tree_files;

pub use aggregate::aggregate;
pub use compatibility::Compatibility;
pub use detailed::{DetailedLine, detailed_line, detailed_lines};
pub use documents::{ItemError, from_yaml, to_yaml};
pub use formats::junit::test_durations;
pub use health::{ComponentHealth, Health, HealthDetail, cluster_health, health_lines, health_report, read_health};
pub use junit_report::{JunitSuite, junit_report};
pub use limits::TreeLimits;
pub use process::{PluginInput, Problem, process_plugin, read_error_file, read_result_file};
pub use report::{Tally, report};
pub use select::{Leaf, LeafVisitor, Selection, visit_leaves};
pub use stream::{stream_json, stream_yaml};
pub use summary::{Failure, Summary, has_log, summarize};
pub use tree_files::{Collected, Node, Verdict, YamlDigest, read_tree, unprocessed};
