//! Security settings of our own containers, such that the `restricted` pod security level admits them.

use serde_json::{Value, json};
use sono_types::Config;

/// User of the worker, unless the plugin's files belong to another that is not root.
pub(crate) const WORKER_USER: i64 = 65532;

/// Whether pods get security settings at all: `SecurityContextMode` is not `none`, which is for platforms that hand
/// out users themselves.
pub(crate) fn is_wanted(config: &Config) -> bool {
    config.security_context_mode != "none"
}

/// What every container of ours gets.
pub(crate) fn container() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] },
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}
