//! Settings of a cluster, stored with it so that a second `up` can compare them.

use std::{fmt, str::FromStr};

use anyhow::{Context, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

/// The version for the tests; `deploy/testbed` pins it and the versions of the skew tests.
pub(crate) const DEFAULT_KUBERNETES: &str = "1.37.2";

#[derive(Debug, Args)]
pub(crate) struct UpArguments {
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// Delete a running cluster with other settings first
    #[arg(long)]
    pub(crate) recreate: bool,
}

#[derive(Args, Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Settings {
    /// Number of nodes, each with its own kubelet and container runtime; all but the first in a network namespace
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=20))]
    pub(crate) nodes: u8,
    /// Version of Kubernetes
    #[arg(long, default_value = DEFAULT_KUBERNETES, value_name = "VERSION")]
    pub(crate) kubernetes: KubernetesVersion,
    /// Number of additional Node objects without a kubelet, always Ready
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=9999))]
    pub(crate) fake_nodes: u16,
    /// Client rate limit of controller manager and scheduler, in requests per second (Kubernetes' default is 20)
    #[arg(long, default_value_t = 2000, value_name = "N")]
    pub(crate) kube_api_qps: u32,
    /// Client burst limit of controller manager and scheduler (Kubernetes' default is 30)
    #[arg(long, default_value_t = 4000, value_name = "N")]
    pub(crate) kube_api_burst: u32,
}

/// A released Kubernetes version without the leading `v`, such as `1.37.2`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(transparent)]
pub struct KubernetesVersion(String);

impl KubernetesVersion {
    /// The version without its major, `37.2` of `1.37.2`: the staging modules' versions are `v0.37.2`.
    pub(crate) fn after_major(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, rest)| rest)
    }

    pub(crate) fn minor(&self) -> &str {
        self.after_major().split('.').next().unwrap_or_default()
    }
}

impl FromStr for KubernetesVersion {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let version = text.strip_prefix('v').unwrap_or(text);
        let mut parts = version.split('.');
        if parts.next() != Some("1") {
            bail!("must look like {DEFAULT_KUBERNETES}");
        }
        for _ in 0..2 {
            let part = parts
                .next()
                .with_context(|| format!("must look like {DEFAULT_KUBERNETES}"))?;
            part.parse::<u16>().with_context(|| format!("{part} is not a number"))?;
        }
        if parts.next().is_some() {
            bail!("must look like {DEFAULT_KUBERNETES}");
        }
        Ok(Self(version.to_owned()))
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The change from a running cluster to the requested settings.
#[derive(Debug, PartialEq)]
pub(crate) enum Change {
    Nothing,
    AddNodes,
    /// Requires a new cluster; describes the differences.
    Recreate(String),
}

impl Settings {
    pub(crate) fn change_to(&self, requested: &Self) -> Change {
        let Self {
            nodes,
            kubernetes,
            fake_nodes,
            kube_api_qps,
            kube_api_burst,
        } = self;
        let mut differences = Vec::new();
        let mut compare = |name: &str, current: &dyn fmt::Display, requested: &dyn fmt::Display, differs: bool| {
            if differs {
                differences.push(format!("{name} is {current}, requested {requested}"));
            }
        };
        compare(
            "Kubernetes",
            kubernetes,
            &requested.kubernetes,
            *kubernetes != requested.kubernetes,
        );
        compare("--nodes", nodes, &requested.nodes, *nodes > requested.nodes);
        compare(
            "--fake-nodes",
            fake_nodes,
            &requested.fake_nodes,
            *fake_nodes != requested.fake_nodes,
        );
        compare(
            "--kube-api-qps",
            kube_api_qps,
            &requested.kube_api_qps,
            *kube_api_qps != requested.kube_api_qps,
        );
        compare(
            "--kube-api-burst",
            kube_api_burst,
            &requested.kube_api_burst,
            *kube_api_burst != requested.kube_api_burst,
        );
        if !differences.is_empty() {
            Change::Recreate(differences.join("; "))
        } else if *nodes < requested.nodes {
            Change::AddNodes
        } else {
            Change::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(nodes: u8, kubernetes: &str, fake_nodes: u16) -> Settings {
        let kubernetes = kubernetes.parse().unwrap();
        Settings {
            nodes,
            kubernetes,
            fake_nodes,
            kube_api_qps: 2000,
            kube_api_burst: 4000,
        }
    }

    #[test]
    fn change_only_adds_nodes_without_new_cluster() {
        let running = settings(2, "1.37.2", 0);
        let cases = [
            (settings(2, "v1.37.2", 0), Change::Nothing),
            (settings(3, "1.37.2", 0), Change::AddNodes),
            (
                settings(1, "1.37.2", 0),
                Change::Recreate("--nodes is 2, requested 1".to_owned()),
            ),
            (
                settings(3, "1.34.4", 9),
                Change::Recreate("Kubernetes is 1.37.2, requested 1.34.4; --fake-nodes is 0, requested 9".to_owned()),
            ),
        ];
        for (requested, expected) in cases {
            assert_eq!(running.change_to(&requested), expected);
        }
    }

    #[test]
    fn version_requires_three_numbers() {
        assert_eq!("1.34.4".parse::<KubernetesVersion>().unwrap().after_major(), "34.4");
        for bad in ["1.34", "2.1.0", "1.34.4.5", "1.x.2", "latest"] {
            assert!(bad.parse::<KubernetesVersion>().is_err(), "{bad}");
        }
    }
}
