//! Validation of the configuration file, with the rules of the flags. Pure.

use sono_types::{
    Config, constants,
    ids::{is_label, is_subdomain},
};

use crate::{args::TAINT_EFFECTS, go_regex};

const PERMISSIONS: [&str; 4] = ["clusterAdmin", "clusterRead", "namespaceAdmin", "minimal"];
const POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];
const LEVELS: [&str; 3] = ["privileged", "baseline", "restricted"];
const SECURITY: [&str; 2] = ["nonroot", "none"];
const PLUGIN_ACCOUNTS: [&str; 2] = [constants::PLUGIN_ACCOUNT_OWN, constants::PLUGIN_ACCOUNT_SHARED];
const OPERATORS: [&str; 2] = ["Equal", "Exists"];
const TOLERATION: [&str; 4] = ["key", "operator", "value", "effect"];

/// Problems of a configuration, each with its key. Flags have been applied to it before.
pub(super) fn problems(config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    let permissions = config.aggregator_permissions.as_str();
    if !PERMISSIONS.contains(&permissions) {
        let known = PERMISSIONS.join(", ");
        problems.push(format!(
            "AggregatorPermissions: unknown aggregator permission: {permissions}; one of {known}"
        ));
    }
    // Kubernetes decides for empty values.
    for (key, value, known) in [
        ("ImagePullPolicy", &config.image_pull_policy, &POLICIES[..]),
        ("NamespacePSAEnforceLevel", &config.namespace_psa_enforce_level, &LEVELS),
        ("SecurityContextMode", &config.security_context_mode, &SECURITY),
        ("PluginAccount", &config.plugin_account, &PLUGIN_ACCOUNTS),
    ] {
        if !value.is_empty() && !known.contains(&value.as_str()) {
            problems.push(format!("{key}: invalid value `{value}`; one of {}", known.join(", ")));
        }
    }
    if !is_label(&config.namespace) {
        problems.push(format!("Namespace: invalid name `{}`", config.namespace));
    }
    if !is_subdomain(&config.service_account_name) {
        problems.push(format!(
            "ServiceAccountName: invalid name `{}`",
            config.service_account_name
        ));
    }
    let of_plugins = config.plugin_service_account_name.as_str();
    if !of_plugins.is_empty() && !is_subdomain(of_plugins) {
        problems.push(format!("PluginServiceAccountName: invalid name `{of_plugins}`"));
    }
    for (number, toleration) in config.aggregator_tolerations.iter().enumerate() {
        let mut found = |text: String| problems.push(format!("AggregatorTolerations[{number}]: {text}"));
        for (key, value) in toleration {
            match key.as_str() {
                "effect" if !value.is_empty() && !TAINT_EFFECTS.contains(&value.as_str()) => {
                    found(format!("Invalid effect: {value}; one of {}", TAINT_EFFECTS.join(", ")));
                }
                "operator" if !value.is_empty() && !OPERATORS.contains(&value.as_str()) => {
                    found(format!("Invalid operator: {value}; one of {}", OPERATORS.join(", ")));
                }
                key if !TOLERATION.contains(&key) => {
                    found(format!("invalid key `{key}`; one of {}", TOLERATION.join(", ")));
                }
                _ => {}
            }
        }
    }
    let port = config.progress_updates_port.as_str();
    if !port.is_empty() && !port.parse::<u16>().is_ok_and(|port| port > 0) {
        problems.push(format!(
            "ProgressUpdatesPort: invalid port `{port}`: expected a number from 1 to 65535"
        ));
    }
    for (key, expression) in [
        ("Filters.Namespaces", &config.filters.namespaces),
        ("Limits.PodLogs.Namespaces", &config.limits.pod_logs.namespaces),
    ] {
        if let Err(reason) = go_regex::read(expression) {
            problems.push(format!("{key}: invalid regular expression `{expression}`: {reason}"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_configuration_is_valid() {
        assert_eq!(problems(&Config::default()), Vec::<String>::new());
        let none = Config::from_json(
            r#"{"ImagePullPolicy": "", "NamespacePSAEnforceLevel": "", "ProgressUpdatesPort": "",
                "AggregatorTolerations": [{"key": "a", "operator": "Exists", "effect": ""}, {"operator": "Exists"}]}"#,
        );
        assert_eq!(problems(&none.unwrap()), Vec::<String>::new());
    }
}
