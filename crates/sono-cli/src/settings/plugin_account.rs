//! Which service account plugins have where a run is started: the mode decides, unless somebody says it.

use sono_types::{Config, constants};

use crate::{error::CliError, output::Printer};

/// [`Config::plugin_account`] of the run. Where plugins have the aggregator's account although the mode would give them one
/// of their own, that is said.
pub(super) fn usual(config: &Config, printer: &Printer) -> Result<&'static str, CliError> {
    let existing = config.existing_service_account;
    let named = config.plugin_service_account_name.as_str();
    let is_admin = config.aggregator_permissions == "clusterAdmin";
    if !named.is_empty() && !existing {
        let what = format!("cannot use service account `{named}` for plugins: the run creates its own accounts");
        return Err(CliError::new(what).hint("add --existing-service-account, or leave out --plugin-service-account"));
    }
    match config.plugin_account.as_str() {
        constants::PLUGIN_ACCOUNT_SHARED => Ok(constants::PLUGIN_ACCOUNT_SHARED),
        constants::PLUGIN_ACCOUNT_OWN if existing && named.is_empty() => {
            let what =
                "cannot give plugins an account of their own: with --existing-service-account the run creates none";
            Err(CliError::new(what).hint("name one that exists with --plugin-service-account NAME"))
        }
        constants::PLUGIN_ACCOUNT_OWN => Ok(constants::PLUGIN_ACCOUNT_OWN),
        _ if existing && !named.is_empty() => Ok(constants::PLUGIN_ACCOUNT_OWN),
        _ if existing && !is_admin => {
            printer.note(&format!(
                "plugins have the aggregator's service account `{}` and all of its rights; --plugin-service-account NAME gives them another",
                config.service_account_name
            ));
            Ok(constants::PLUGIN_ACCOUNT_SHARED)
        }
        _ if is_admin => Ok(constants::PLUGIN_ACCOUNT_SHARED),
        _ => Ok(constants::PLUGIN_ACCOUNT_OWN),
    }
}
