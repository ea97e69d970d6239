//! Service account of plugins: set by the user, or derived from the permission mode.

use sono_types::{Config, constants};

use crate::{error::CliError, output::Printer};

/// Resolves [`Config::plugin_account`]. Prints a note if plugins share the aggregator's account in a mode that normally
/// separates them.
pub(super) fn resolve(config: &Config, printer: &Printer) -> Result<&'static str, CliError> {
    let existing = config.existing_service_account;
    let named = config.plugin_service_account_name.as_str();
    let is_admin = config.aggregator_permissions == "clusterAdmin";
    if !named.is_empty() && !existing {
        let what = format!("cannot use service account `{named}` for plugins: the run creates its own accounts");
        return Err(CliError::new(what).hint("add --existing-service-account, or omit --plugin-service-account"));
    }
    match config.plugin_account.as_str() {
        constants::PLUGIN_ACCOUNT_SHARED => Ok(constants::PLUGIN_ACCOUNT_SHARED),
        constants::PLUGIN_ACCOUNT_OWN if existing && named.is_empty() => {
            let what =
                "cannot create a service account for plugins: with --existing-service-account the run creates none";
            Err(CliError::new(what).hint("use an existing one: --plugin-service-account NAME"))
        }
        constants::PLUGIN_ACCOUNT_OWN => Ok(constants::PLUGIN_ACCOUNT_OWN),
        _ if existing && !named.is_empty() => Ok(constants::PLUGIN_ACCOUNT_OWN),
        _ if existing && !is_admin => {
            printer.note(&format!(
                "plugins use the aggregator's service account `{}` with all its permissions; to use another: --plugin-service-account NAME",
                config.service_account_name
            ));
            Ok(constants::PLUGIN_ACCOUNT_SHARED)
        }
        _ if is_admin => Ok(constants::PLUGIN_ACCOUNT_SHARED),
        _ => Ok(constants::PLUGIN_ACCOUNT_OWN),
    }
}
