//! `sono images inspect`: digests and platforms of images.

use futures::{StreamExt as _, stream};
use serde_json::json;
use sono_types::error_chain;

use super::{MAX_CONCURRENT, conclude, find, one_line, platforms::node_platforms, registry, to_renaming};
use crate::{
    args,
    error::CliError,
    output::{Format, Printer},
};

pub(super) async fn inspect(
    arguments: args::ImagesInspect,
    as_sonobuoy: bool,
    printer: &Printer,
) -> Result<u8, CliError> {
    let args::ImagesInspect {
        selection,
        renaming,
        access,
        output,
        dry_run: _,
    } = arguments;
    let found = find(&selection, as_sonobuoy, &to_renaming(&renaming, None)?, printer).await?;
    let names = found.names(printer);
    let nodes = node_platforms(&selection.cluster).await;
    let registry = &registry(&access, &names)?;
    let answers: Vec<_> = stream::iter(&names)
        .map(|name| async move { (name, sono_images::inspect(registry, name).await) })
        .buffered(MAX_CONCURRENT)
        .collect()
        .await;
    let mut failures = Vec::new();
    let mut values = Vec::new();
    for (name, answer) in answers {
        match answer {
            Ok(inspected) => {
                let platforms: Vec<String> = inspected.platforms.iter().map(ToString::to_string).collect();
                let missing: Vec<String> = nodes
                    .iter()
                    .flatten()
                    .filter(|node| !inspected.platforms.is_empty() && !inspected.platforms.contains(node))
                    .map(ToString::to_string)
                    .collect();
                if output == args::ImagesOutput::Table {
                    printer.line(&format!("{name}  {}  {}", inspected.digest, platforms.join(", ")))?;
                }
                if !missing.is_empty() {
                    failures.push(format!(
                        "{name}: missing platforms of the cluster's nodes: {}",
                        missing.join(", ")
                    ));
                }
                values.push(json!({
                    "image": name, "digest": inspected.digest, "platforms": platforms, "missing": missing,
                }));
            }
            Err(error) => {
                failures.push(one_line(name, &error));
                values.push(json!({ "image": name, "error": error_chain(&error) }));
            }
        }
    }
    if output == args::ImagesOutput::Json {
        let text = serde_json::to_string_pretty(&values).expect("JSON values are JSON");
        printer.document(Format::Json, &(text + "\n"))?;
    }
    conclude(failures, names.len(), "are not available for this cluster")
}
