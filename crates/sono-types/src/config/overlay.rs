//! Configurations as JSON text: overlays, and keys in any case.

use serde_json::{Map, Value};

use super::Config;

/// Error of an invalid configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The text is not a JSON object, or a value has the wrong type.
    #[error("couldn't Unmarshal sonobuoy config")]
    Json(#[source] serde_json::Error),
    /// Both `SinceSeconds` and `SinceTime` are set.
    #[error("invalid configuration: Only one of sinceSeconds or sinceTime may be specified.")]
    Since,
    /// A limit is 0 and would reject everything.
    #[error("invalid configuration: UploadLimits.{0} must not be 0")]
    ZeroLimit(&'static str),
}

/// Canonical spelling of the keys, which are matched case-insensitively.
pub(super) const KEYS: &[&str] = &[
    "Description",
    "UUID",
    "Version",
    "ResultsDir",
    "QueryDir",
    "Resources",
    "Filters",
    "Limits",
    "QPS",
    "ResultsCompatibility",
    "RedactKnown",
    "RequireRedaction",
    "Burst",
    "Server",
    "Plugins",
    "PluginSearchPath",
    "Namespace",
    "SkipPlugins",
    "WorkerImage",
    "ImagePullPolicy",
    "ForceImagePullPolicy",
    "ImagePullSecrets",
    "CustomAnnotations",
    "AggregatorPermissions",
    "AggregatorTolerations",
    "ServiceAccountName",
    "ExistingServiceAccount",
    "PluginAccount",
    "PluginServiceAccountName",
    "E2EDockerConfigFile",
    "NamespacePSAEnforceLevel",
    "ProgressUpdatesPort",
    "SecurityContextMode",
    "AggregatorWorkload",
    "StopOnFailure",
    "AllNodes",
    "UploadLimits",
];
pub(super) const UPLOAD_LIMIT_KEYS: &[&str] = &[
    "MaxBodyBytes",
    "MaxUnpackedBytes",
    "MaxEntries",
    "MaxNameBytes",
    "MaxRatio",
    "RatioFloorBytes",
    "MaxProgressBytes",
    "IdleTimeoutSeconds",
    "MaxBodySeconds",
    "HandshakeTimeoutSeconds",
    "ConnectionIdleSeconds",
    "MaxConnections",
    "MaxUploadsPerResult",
    "MaxUploadsPerPlugin",
    "MaxTotalBytes",
    "MaxDrainBytes",
    "MaxStoreTries",
];
const FILTER_KEYS: &[&str] = &["Namespaces", "LabelSelector"];
const LIMIT_KEYS: &[&str] = &["PodLogs"];
const POD_LOG_KEYS: &[&str] = &[
    "Namespaces",
    "SonobuoyNamespace",
    "FieldSelectors",
    "LabelSelector",
    "Previous",
    "SinceSeconds",
    "SinceTime",
    "Timestamps",
    "TailLines",
    "LimitBytes",
];
pub(super) const SERVER_KEYS: &[&str] = &[
    "bindaddress",
    "bindport",
    "advertiseaddress",
    "metricsaddress",
    "timeoutseconds",
];

impl Config {
    /// The defaults overlaid with `text`: objects are merged, all other values replaced.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        Self::default().overlaid_with(text)
    }

    /// Unknown keys of `text` as written, each with the keys that are valid at that level.
    pub fn unknown_keys(text: &str) -> Vec<(String, &'static [&'static str])> {
        let mut unknown = Vec::new();
        if let Ok(given) = serde_json::from_str::<Map<String, Value>>(text) {
            collect_unknown(&given, KEYS, "", &mut unknown);
        }
        unknown
    }

    /// This configuration, overlaid with `text`.
    pub fn overlaid_with(&self, text: &str) -> Result<Self, ConfigError> {
        let given: Map<String, Value> = serde_json::from_str(text).map_err(ConfigError::Json)?;
        let mut base = match serde_json::to_value(self).map_err(ConfigError::Json)? {
            Value::Object(base) => base,
            _ => Map::new(),
        };
        overlay(&mut base, given, KEYS);
        let config: Self = serde_json::from_value(Value::Object(base)).map_err(ConfigError::Json)?;
        let logs = &config.limits.pod_logs;
        if logs.since_seconds.is_some() && logs.since_time.is_some() {
            return Err(ConfigError::Since);
        }
        if let Some(name) = config.upload_limits.first_zero() {
            return Err(ConfigError::ZeroLimit(name));
        }
        Ok(config)
    }

    /// The configuration as one line of JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a configuration holds only text keys")
    }
}

/// Valid keys of the object under `key`. Empty if the value is not an object or may have any keys.
fn keys_within(key: &str) -> &'static [&'static str] {
    match key {
        "Filters" => FILTER_KEYS,
        "Limits" => LIMIT_KEYS,
        "PodLogs" => POD_LOG_KEYS,
        "Server" => SERVER_KEYS,
        "UploadLimits" => UPLOAD_LIMIT_KEYS,
        _ => &[],
    }
}

fn collect_unknown(
    given: &Map<String, Value>,
    keys: &'static [&'static str],
    above: &str,
    unknown: &mut Vec<(String, &'static [&'static str])>,
) {
    for (name, value) in given {
        let path = format!("{above}{name}");
        let Some(key) = keys.iter().find(|key| key.eq_ignore_ascii_case(name)) else {
            unknown.push((path, keys));
            continue;
        };
        let within = keys_within(key);
        if let (Value::Object(value), false) = (value, within.is_empty()) {
            collect_unknown(value, within, &format!("{path}."), unknown);
        }
    }
}

fn overlay(base: &mut Map<String, Value>, given: Map<String, Value>, keys: &[&str]) {
    for (name, value) in given {
        let Some(key) = keys.iter().find(|key| key.eq_ignore_ascii_case(&name)) else {
            continue;
        };
        let inner = keys_within(key);
        let nullable = [
            "Resources",
            "Plugins",
            "PluginSearchPath",
            "SonobuoyNamespace",
            "FieldSelectors",
            "SinceSeconds",
            "SinceTime",
            "TailLines",
            "LimitBytes",
        ];
        if !inner.is_empty() && value.is_object() {
            // The serialized base omits objects that equal their default.
            base.entry(*key).or_insert_with(|| Value::Object(Map::new()));
        }
        match (base.get_mut(*key), value) {
            (Some(Value::Object(base)), Value::Object(value)) if !inner.is_empty() => overlay(base, value, inner),
            // Go leaves a field unchanged for null, unless its type is nullable.
            (_, Value::Null) if !nullable.contains(key) => {}
            (_, value) => {
                base.insert((*key).to_owned(), value);
            }
        }
    }
}
