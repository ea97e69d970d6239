//! Platforms of transferred images: those of the cluster's nodes by default.

use std::{collections::BTreeSet, env};

use sono_images::{Platform, Platforms};

use crate::{args, output::Printer, settings::connect};

pub(super) async fn selected_platforms(
    platforms: &args::ImagesPlatforms,
    cluster: &args::Cluster,
    printer: &Printer,
) -> Platforms {
    let args::ImagesPlatforms {
        platform,
        all_platforms,
    } = platforms;
    if *all_platforms {
        return Platforms::All;
    }
    if !platform.is_empty() {
        return Platforms::Only(platform.iter().cloned().collect());
    }
    if let Some(nodes) = node_platforms(cluster).await {
        return Platforms::Only(nodes);
    }
    let platform = Platform {
        os: "linux".to_owned(),
        architecture: go_architecture().to_owned(),
        variant: None,
    };
    printer.note(&format!(
        "cannot read the platforms of the cluster's nodes; pulling for {platform} (to change: --platform or --all-platforms)"
    ));
    Platforms::Only(BTreeSet::from([platform]))
}

/// Platforms of the cluster's nodes; `None` without a cluster.
pub(super) async fn node_platforms(cluster: &args::Cluster) -> Option<BTreeSet<Platform>> {
    let nodes = connect(cluster).await.ok()?.nodes().await.ok()?;
    let platforms: BTreeSet<Platform> = nodes
        .into_iter()
        .filter_map(|node| {
            let info = node.status?.node_info?;
            Some(Platform {
                os: info.operating_system,
                architecture: info.architecture,
                variant: None,
            })
        })
        .collect();
    (!platforms.is_empty()).then_some(platforms)
}

/// Go's name of this machine's architecture.
fn go_architecture() -> &'static str {
    match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
