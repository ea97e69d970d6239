//! The built-in plugin of runs without a cluster.

use std::{collections::BTreeMap, path::Path};

use serde_json::json;
use sono_manifest::{Definition, DriverKind, ResultRedaction};
use sono_types::PluginName;

/// The plugin host-check as a local process: `program host-check`.
pub fn host_check(program: &Path) -> Definition {
    Definition {
        name: PluginName::parse("host-check").expect("a valid name"),
        driver: DriverKind::DaemonSet,
        driver_text: DriverKind::DaemonSet.to_string(),
        skip_cleanup: false,
        result_format: "manual".to_owned(),
        result_files: Vec::new(),
        result_redaction: ResultRedaction::default(),
        description: "Kernel, memory, disks, time, limits and DNS of this machine".to_owned(),
        source_url: String::new(),
        order: 0,
        account: None,
        spec: json!({
            "name": "host-check",
            "command": [program.to_string_lossy(), "host-check"],
            "env": [{ "name": "NODE_NAME", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } }],
        }),
        extra_volumes: Vec::new(),
        pod_spec: None,
        config_map: BTreeMap::new(),
        others: serde_json::Map::new(),
        other_settings: serde_json::Map::new(),
    }
}
