//! Settings of the redaction.

use sono_types::Config;

use crate::error::CliError;

/// Resolves [`Config::redact_known`] and [`Config::require_redaction`]. Refuses a run whose archive would always be withheld.
pub(super) fn configure(config: &mut Config, known: Option<&str>, require: bool) -> Result<(), CliError> {
    match known.map(str::to_lowercase).as_deref() {
        // The default of the aggregator.
        Some("on") => config.redact_known.clear(),
        Some(word) => word.clone_into(&mut config.redact_known),
        None => {}
    }
    config.require_redaction |= require;
    if !config.require_redaction {
        return Ok(());
    }
    let what = "cannot prove the redaction of the archive, so it would be withheld";
    if config.redact_known == "off" {
        return Err(CliError::new(format!("{what}: the values of Secrets are not searched"))
            .hint("remove --require-redaction or --redact-known=off"));
    }
    if config.aggregator_permissions != "clusterAdmin" {
        return Err(CliError::new(format!(
            "{what}: with the permissions `{}`, the aggregator may not read Secrets",
            config.aggregator_permissions
        ))
        .hint("remove --require-redaction, or use --aggregator-permissions clusterAdmin"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_override_the_configuration_and_contradictions_are_refused() {
        let configured = |permissions: &str, file: &str, known: Option<&str>, require| {
            let mut config = Config {
                redact_known: file.to_owned(),
                aggregator_permissions: permissions.to_owned(),
                ..Config::default()
            };
            configure(&mut config, known, require)
                .map(|()| (config.redact_known, config.require_redaction))
                .map_err(|error| error.text())
        };
        let set = |known: &str, require| Ok((known.to_owned(), require));
        let admin = "clusterAdmin";
        assert_eq!(configured(admin, "off", None, false), set("off", false));
        assert_eq!(configured(admin, "off", Some("ON"), true), set("", true));
        assert_eq!(configured(admin, "", Some("off"), false), set("off", false));
        assert_eq!(configured("minimal", "", None, false), set("", false));
        assert!(configured(admin, "off", None, true).is_err());
        assert!(configured("minimal", "", None, true).is_err());
    }
}
