//! Environment variables for flags. They override the configuration file; the command line overrides them.

use clap::{
    Arg, Command,
    error::{ContextKind, ContextValue},
};

/// Flags and their environment variables, for every command that has the flag. All flags take a value, and none
/// conflicts with another.
pub(crate) const VARIABLES: [(&str, &str); 32] = [
    ("aggregator-image", "SONO_AGGREGATOR_IMAGE"),
    ("aggregator-memory", "SONO_AGGREGATOR_MEMORY"),
    ("aggregator-permissions", "SONO_AGGREGATOR_PERMISSIONS"),
    ("aggregator-workload", "SONO_AGGREGATOR_WORKLOAD"),
    ("config", "SONO_CONFIG"),
    ("context", "SONO_CONTEXT"),
    ("dns-namespace", "SONO_DNS_NAMESPACE"),
    ("dns-pod-labels", "SONO_DNS_POD_LABELS"),
    ("e2e-docker-config-file", "SONO_E2E_DOCKER_CONFIG_FILE"),
    ("image-pull-policy", "SONO_IMAGE_PULL_POLICY"),
    ("image-pull-secrets", "SONO_IMAGE_PULL_SECRETS"),
    ("kube-conformance-image", "SONO_KUBE_CONFORMANCE_IMAGE"),
    ("kubeconfig", "SONO_KUBECONFIG"),
    ("kubernetes-version", "SONO_KUBERNETES_VERSION"),
    ("level", "SONO_LEVEL"),
    ("namespace", "SONO_NAMESPACE"),
    ("namespace-psa-enforce-level", "SONO_NAMESPACE_PSA_ENFORCE_LEVEL"),
    ("plugin-account", "SONO_PLUGIN_ACCOUNT"),
    ("plugin-service-account", "SONO_PLUGIN_SERVICE_ACCOUNT"),
    ("rbac", "SONO_RBAC"),
    ("redact-known", "SONO_REDACT_KNOWN"),
    ("registry", "SONO_REGISTRY"),
    ("security-context-mode", "SONO_SECURITY_CONTEXT_MODE"),
    ("service-account-name", "SONO_SERVICE_ACCOUNT_NAME"),
    ("skip-preflight", "SONO_SKIP_PREFLIGHT"),
    ("sonobuoy-image", "SONO_SONOBUOY_IMAGE"),
    ("ssh-key", "SONO_SSH_KEY"),
    ("ssh-user", "SONO_SSH_USER"),
    ("systemd-logs-image", "SONO_SYSTEMD_LOGS_IMAGE"),
    ("timeout", "SONO_TIMEOUT"),
    ("wait-output", "SONO_WAIT_OUTPUT"),
    ("worker-image", "SONO_WORKER_IMAGE"),
];

/// Sets the environment variables of the flags of `command` and its subcommands. An empty variable counts as unset.
pub(crate) fn with_variables(command: Command) -> Command {
    let is_set = |variable: &str| std::env::var_os(variable).is_some_and(|value| !value.is_empty());
    let set: Vec<(&str, &str)> = VARIABLES.into_iter().filter(|(_, variable)| is_set(variable)).collect();
    apply(command, &set)
}

/// The flag with the invalid value, and its variable, if the variable is set.
pub(crate) fn variable_of_invalid_flag(error: &clap::Error) -> Option<(&'static str, &'static str)> {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let flag = argument.strip_prefix("--")?.split(' ').next()?;
    let known = VARIABLES.into_iter().find(|(known, _)| *known == flag);
    known.filter(|(_, variable)| std::env::var_os(variable).is_some_and(|value| !value.is_empty()))
}

fn apply(command: Command, set: &[(&'static str, &'static str)]) -> Command {
    let argument = |argument: Arg| {
        let variable = set.iter().find(|(flag, _)| argument.get_long() == Some(flag));
        match variable {
            Some((_, variable)) => argument.env(variable).hide_env(true),
            None => argument,
        }
    };
    command.mut_args(argument).mut_subcommands(|within| apply(within, set))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::args::Arguments;

    #[test]
    fn every_variable_belongs_to_a_flag_with_a_value() {
        fn all(command: &Command) -> Vec<&Arg> {
            let within = command.get_subcommands().flat_map(all);
            command.get_arguments().chain(within).collect()
        }
        let program = Arguments::command();
        let flags = all(&program);
        for (flag, variable) in VARIABLES {
            let mut matching = flags.iter().filter(|known| known.get_long() == Some(flag)).peekable();
            assert!(matching.peek().is_some(), "unknown flag {flag}");
            assert!(
                matching.all(|known| known.get_action().takes_values()),
                "{flag} does not take a value"
            );
            assert_eq!(variable, format!("SONO_{}", flag.to_uppercase().replace('-', "_")));
        }
    }

    /// BUG 56: the page names exactly the keys of the configuration file.
    #[test]
    fn page_names_exactly_the_configuration_keys() {
        let page = include_str!("../../../../docs/configuration.md");
        let spans = |line: &str| -> Vec<String> { line.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect() };
        let mut keys = std::collections::BTreeSet::new();
        for line in page.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = line.split('|').collect();
            // Flag, variable, key, …; or key, default, …; or variable, ….
            let named = match cells.len() {
                7 => spans(cells[3]),
                5 => spans(cells[1]),
                _ => continue,
            };
            let mut above = String::new();
            for key in named {
                let key = match key.strip_prefix('.') {
                    Some(key) => format!("{above}.{key}"),
                    None => key,
                };
                above = key
                    .rsplit_once('.')
                    .map(|(above, _)| above.to_owned())
                    .unwrap_or_default();
                keys.insert(key);
            }
        }
        for key in &keys {
            let config = key
                .rsplit('.')
                .fold("0".to_owned(), |value, part| format!("{{\"{part}\":{value}}}"));
            assert_eq!(sono_types::Config::unknown_keys(&config), [], "unknown key {key}");
        }
        let known = sono_types::Config::unknown_keys("{\"?\":0}")[0].1;
        let missing = |key: &&&str| {
            !keys
                .iter()
                .any(|named| named == **key || named.starts_with(&format!("{key}.")))
        };
        // The aggregator writes `Version`.
        let missing: Vec<&&str> = known.iter().filter(missing).filter(|key| **key != "Version").collect();
        assert_eq!(missing, Vec::<&&str>::new());
    }

    #[test]
    fn every_variable_is_on_the_page() {
        let page = include_str!("../../../../docs/configuration.md");
        for (flag, variable) in VARIABLES {
            let has = |line: &str| line.contains(&format!("`--{flag}`")) && line.contains(&format!("`{variable}`"));
            assert!(page.lines().any(has), "{variable}");
        }
    }
}
