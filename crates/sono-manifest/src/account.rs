//! Service accounts of plugin pods, and the accounts that a run creates for them.

use serde_json::{Value, json};
use sono_types::{Config, constants};

use crate::{Definition, PluginAccount, rbac::Permissions};

/// Rights of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rights {
    /// The aggregator's rights.
    Shared,
    /// Read access according to the run's mode.
    ReadOnly,
    /// No rights.
    NoAccess,
}

/// An account that a run creates for plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NewAccount {
    /// Name of the account.
    pub(crate) name: &'static str,
    /// Whether it has read access and pods get its token.
    pub(crate) can_read: bool,
}

fn rights(config: &Config, definition: &Definition) -> Rights {
    let own = if Permissions::of(config) == Permissions::Minimal {
        Rights::NoAccess
    } else {
        Rights::ReadOnly
    };
    match definition.account {
        Some(PluginAccount::NoRights) => Rights::NoAccess,
        Some(PluginAccount::Own) => own,
        None if config.plugin_account == constants::PLUGIN_ACCOUNT_OWN => own,
        None => Rights::Shared,
    }
}

/// Name of the account for these rights. Without [`Config::plugin_account`] only the aggregator's account exists.
fn name(config: &Config, rights: Rights) -> &str {
    let shared = config.service_account_name.as_str();
    match rights {
        Rights::Shared => shared,
        _ if config.existing_service_account => match config.plugin_service_account_name.as_str() {
            "" => shared,
            name => name,
        },
        _ if config.plugin_account.is_empty() => shared,
        Rights::ReadOnly => constants::PLUGINS_SERVICE_ACCOUNT,
        Rights::NoAccess => constants::NO_RIGHTS_SERVICE_ACCOUNT,
    }
}

/// The accounts that the run must create for these plugins.
pub(crate) fn created(config: &Config, definitions: &[Definition]) -> Vec<NewAccount> {
    if config.existing_service_account || config.plugin_account.is_empty() {
        return Vec::new();
    }
    let is_own = config.plugin_account == constants::PLUGIN_ACCOUNT_OWN;
    let is_minimal = Permissions::of(config) == Permissions::Minimal;
    let needed = |rights_needed: Rights| {
        let by_mode = is_own && (rights_needed == Rights::NoAccess) == is_minimal;
        by_mode
            || definitions
                .iter()
                .any(|definition| rights(config, definition) == rights_needed)
    };
    let account = |rights: Rights, can_read: bool| {
        let name = match rights {
            Rights::NoAccess => constants::NO_RIGHTS_SERVICE_ACCOUNT,
            _ => constants::PLUGINS_SERVICE_ACCOUNT,
        };
        needed(rights).then_some(NewAccount { name, can_read })
    };
    [account(Rights::ReadOnly, true), account(Rights::NoAccess, false)]
        .into_iter()
        .flatten()
        .collect()
}

/// Sets the account of a plugin's pods.
///
/// A custom account of the definition is not changed. The aggregator's account is replaced, because existing definitions use
/// its name for the account that the run provides.
pub(crate) fn apply(config: &Config, definition: &Definition, pod_spec: &mut Value) {
    let rights = rights(config, definition);
    let Some(spec) = pod_spec.as_object_mut() else { return };
    if rights == Rights::Shared {
        return;
    }
    let named = ["serviceAccountName", "serviceAccount"]
        .into_iter()
        .find_map(|key| spec.get(key)?.as_str().filter(|name| !name.is_empty()));
    let is_shared = |name: &str| [config.service_account_name.as_str(), constants::SERVICE_ACCOUNT].contains(&name);
    let is_replaced = match named {
        Some(named) => is_shared(named),
        // Kubernetes uses the namespace's default account, which may have rights.
        None => rights == Rights::NoAccess,
    };
    if is_replaced {
        spec.remove("serviceAccount");
        spec.insert("serviceAccountName".to_owned(), json!(name(config, rights)));
    }
    // A definition that requests no rights gets no token, whichever account it runs as.
    let is_without = rights == Rights::NoAccess && is_replaced && !config.existing_service_account;
    if is_without || definition.account == Some(PluginAccount::NoRights) {
        let token = spec.entry("automountServiceAccountToken").or_insert(Value::Null);
        if token.is_null() {
            *token = json!(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load;

    fn config(mode: &str, plugin_account: &str) -> Config {
        Config {
            aggregator_permissions: mode.to_owned(),
            plugin_account: plugin_account.to_owned(),
            ..Config::default()
        }
    }

    fn existing(plugin_account: &str, name: &str) -> Config {
        Config {
            service_account_name: "aggregators".to_owned(),
            existing_service_account: true,
            plugin_service_account_name: name.to_owned(),
            ..config("minimal", plugin_account)
        }
    }

    fn definition(key: &str) -> Definition {
        let key = if key.is_empty() {
            String::new()
        } else {
            format!(", plugin-account: {key}")
        };
        let text = format!("sonobuoy-config: {{driver: Job, plugin-name: p{key}}}\nspec: {{name: c, image: i}}\n");
        let (definition, problems) = load("p.yaml", &text);
        assert_eq!(problems, []);
        definition.unwrap()
    }

    fn applied(config: &Config, key: &str, pod_spec: Value) -> Value {
        let mut pod_spec = pod_spec;
        apply(config, &definition(key), &mut pod_spec);
        pod_spec
    }

    const MODES: [&str; 4] = ["clusterAdmin", "clusterRead", "namespaceAdmin", "minimal"];

    #[test]
    fn default_pods_get_the_account_of_mode_flag_and_key() {
        let (shared, reads, nothing) = ("sonobuoy-serviceaccount", "sonobuoy-plugins", "sonobuoy-no-rights");
        let pod = || json!({ "serviceAccountName": "sonobuoy-serviceaccount" });
        for mode in MODES {
            let own = if mode == "minimal" { nothing } else { reads };
            for (flag, key, expected) in [
                ("", "", shared),
                ("shared", "", shared),
                ("own", "", own),
                ("shared", "own", own),
                ("own", "own", own),
                ("shared", "none", nothing),
                ("own", "none", nothing),
                // Older programs created no other account.
                ("", "own", shared),
                ("", "none", shared),
            ] {
                let mut spec = json!({ "serviceAccountName": expected });
                if expected == nothing || key == "none" || (key == "own" && mode == "minimal") {
                    spec["automountServiceAccountToken"] = json!(false);
                }
                assert_eq!(applied(&config(mode, flag), key, pod()), spec, "{mode} {flag} {key}");
            }
        }
    }

    #[test]
    fn named_accounts_stay_unless_they_are_the_aggregators() {
        let own = config("minimal", "own");
        let renamed = Config {
            service_account_name: "me".to_owned(),
            ..own.clone()
        };
        let mine = json!({ "serviceAccountName": "mine" });
        assert_eq!(applied(&own, "", mine.clone()), mine);
        assert_eq!(applied(&renamed, "", mine.clone()), mine);
        let without = json!({ "serviceAccountName": "sonobuoy-no-rights", "automountServiceAccountToken": false });
        for named in [
            json!({ "serviceAccountName": "sonobuoy-serviceaccount" }),
            json!({ "serviceAccountName": "me" }),
            // Kubernetes' old name of the field.
            json!({ "serviceAccount": "me" }),
            json!({ "serviceAccount": "me", "serviceAccountName": "" }),
            json!({ "serviceAccount": "me", "serviceAccountName": "me" }),
            json!({ "automountServiceAccountToken": null }),
        ] {
            assert_eq!(applied(&renamed, "", named.clone()), without, "{named}");
        }
        // In modes with read access, a pod without an account uses the namespace's default account.
        assert_eq!(applied(&config("clusterRead", "own"), "", json!({})), json!({}));
        let with_token = json!({ "serviceAccountName": "me", "automountServiceAccountToken": true });
        assert_eq!(
            applied(&renamed, "", with_token),
            json!({ "serviceAccountName": "sonobuoy-no-rights", "automountServiceAccountToken": true })
        );
    }

    #[test]
    fn existing_accounts_are_used_as_they_are() {
        let pod = || json!({ "serviceAccountName": "aggregators" });
        assert_eq!(
            applied(&existing("own", "plugins"), "", pod()),
            json!({ "serviceAccountName": "plugins" })
        );
        assert_eq!(applied(&existing("shared", ""), "", pod()), pod());
        // Without a second account, plugins without rights get no token of the first.
        for (name, expected) in [("", "aggregators"), ("plugins", "plugins")] {
            assert_eq!(
                applied(&existing("shared", name), "none", pod()),
                json!({ "serviceAccountName": expected, "automountServiceAccountToken": false })
            );
        }
    }

    #[test]
    fn accounts_are_created_where_a_plugin_needs_them() {
        let names = |config: &Config, key: &str| -> Vec<(&str, bool)> {
            let created = created(config, &[definition(""), definition(key)]);
            created
                .into_iter()
                .map(|account| (account.name, account.can_read))
                .collect()
        };
        let (reads, nothing) = (("sonobuoy-plugins", true), ("sonobuoy-no-rights", false));
        for mode in &MODES[..3] {
            assert_eq!(names(&config(mode, "shared"), ""), []);
            assert_eq!(names(&config(mode, "shared"), "none"), [nothing]);
            assert_eq!(names(&config(mode, "shared"), "own"), [reads]);
            assert_eq!(names(&config(mode, "own"), ""), [reads]);
            assert_eq!(names(&config(mode, "own"), "none"), [reads, nothing]);
        }
        assert_eq!(names(&config("minimal", "own"), ""), [nothing]);
        assert_eq!(names(&config("minimal", "own"), "none"), [nothing]);
        assert_eq!(names(&config("minimal", "shared"), "own"), [nothing]);
        assert_eq!(names(&config("minimal", ""), "none"), []);
        assert_eq!(names(&existing("own", "plugins"), "none"), []);
    }
}
