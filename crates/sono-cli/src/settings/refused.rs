//! Rejects plugins that the API server would refuse, before anything is created.

use serde_json::Value;
use sono_manifest::{Definition, refused_by_api_server};

use crate::error::CliError;

/// Fails if the API server would refuse the objects of a plugin.
pub(super) fn refuse_invalid(definitions: &[Definition]) -> Result<(), CliError> {
    let mut problems = Vec::new();
    for definition in definitions {
        let name = &definition.name;
        let found = refused_by_api_server(definition)
            .into_iter()
            .map(|refused| refused.message);
        problems.extend(found.map(|message| format!("plugin {name}: {message}")));
        let image = definition.spec.get("image").and_then(Value::as_str).unwrap_or_default();
        if image.is_empty() {
            problems.push(format!("plugin {name}: spec.image is missing"));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(CliError::new("the API server would refuse plugins of this run")
        .details(problems)
        .hint("for line numbers: sono plugin lint FILE; nothing was created"))
}
