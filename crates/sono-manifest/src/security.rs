//! Security settings of the aggregator and worker containers, allowed by the pod security level `restricted`.

use serde_json::{Value, json};
use sono_types::Config;

/// User of the worker, unless the plugin runs as another user that is not root.
pub(crate) const WORKER_USER: i64 = 65532;

/// Whether pods get security settings. `SecurityContextMode` is `none` on platforms that assign users themselves.
pub(crate) fn is_enabled(config: &Config) -> bool {
    config.security_context_mode != "none"
}

/// The security context of aggregator and worker containers.
pub(crate) fn container() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] },
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}
