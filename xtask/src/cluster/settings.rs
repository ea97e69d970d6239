//! What a cluster is asked to be; kept beside it, so that a second `up` can compare.

use std::{fmt, str::FromStr};

use anyhow::{Context, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

/// The version that the tests run on; `deploy/testbed` pins it and those the skew tests want.
pub(crate) const DEFAULT_KUBERNETES: &str = "1.37.2";

#[derive(Args)]
pub(crate) struct UpArguments {
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// Throw a running cluster of other settings away first
    #[arg(long)]
    pub(crate) recreate: bool,
}

#[derive(Args, Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Settings {
    /// Nodes, each with its own kubelet and container runtime; all but the first in a network namespace
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=20))]
    pub(crate) nodes: u8,
    /// Version of Kubernetes
    #[arg(long, default_value = DEFAULT_KUBERNETES, value_name = "VERSION")]
    pub(crate) kubernetes: KubernetesVersion,
    /// Node objects without a kubelet, Ready for ever
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=9999))]
    pub(crate) fake_nodes: u16,
    /// Client limit of controller manager and scheduler; 20 is their own default
    #[arg(long, default_value_t = 2000, value_name = "N")]
    pub(crate) kube_api_qps: u32,
    /// Client burst of controller manager and scheduler; 30 is their own default
    #[arg(long, default_value_t = 4000, value_name = "N")]
    pub(crate) kube_api_burst: u32,
}

/// A released version without the leading `v`, like `1.37.2`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct KubernetesVersion(String);

impl KubernetesVersion {
    /// `37.2` of `1.37.2`: the versions of the staging modules are `v0.37.2`.
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

/// How a running cluster gets to what is asked for.
#[derive(Debug, PartialEq)]
pub(crate) enum Change {
    Nothing,
    AddNodes,
    /// What differs, said to a person.
    Recreate(String),
}

impl Settings {
    pub(crate) fn change_to(&self, wanted: &Self) -> Change {
        let Self {
            nodes,
            kubernetes,
            fake_nodes,
            kube_api_qps,
            kube_api_burst,
        } = self;
        let mut differences = Vec::new();
        let mut compare = |what: &str, has: &dyn fmt::Display, asked: &dyn fmt::Display, differs: bool| {
            if differs {
                differences.push(format!("{what} is {has}, asked for {asked}"));
            }
        };
        compare(
            "Kubernetes",
            kubernetes,
            &wanted.kubernetes,
            *kubernetes != wanted.kubernetes,
        );
        compare("--nodes", nodes, &wanted.nodes, *nodes > wanted.nodes);
        compare(
            "--fake-nodes",
            fake_nodes,
            &wanted.fake_nodes,
            *fake_nodes != wanted.fake_nodes,
        );
        compare(
            "--kube-api-qps",
            kube_api_qps,
            &wanted.kube_api_qps,
            *kube_api_qps != wanted.kube_api_qps,
        );
        compare(
            "--kube-api-burst",
            kube_api_burst,
            &wanted.kube_api_burst,
            *kube_api_burst != wanted.kube_api_burst,
        );
        if !differences.is_empty() {
            Change::Recreate(differences.join("; "))
        } else if *nodes < wanted.nodes {
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
    fn only_more_nodes_are_had_without_a_new_cluster() {
        let running = settings(2, "1.37.2", 0);
        let cases = [
            (settings(2, "v1.37.2", 0), Change::Nothing),
            (settings(3, "1.37.2", 0), Change::AddNodes),
            (
                settings(1, "1.37.2", 0),
                Change::Recreate("--nodes is 2, asked for 1".to_owned()),
            ),
            (
                settings(3, "1.34.4", 9),
                Change::Recreate("Kubernetes is 1.37.2, asked for 1.34.4; --fake-nodes is 0, asked for 9".to_owned()),
            ),
        ];
        for (wanted, expected) in cases {
            assert_eq!(running.change_to(&wanted), expected);
        }
    }

    #[test]
    fn versions_are_whole() {
        assert_eq!("1.34.4".parse::<KubernetesVersion>().unwrap().after_major(), "34.4");
        for bad in ["1.34", "2.1.0", "1.34.4.5", "1.x.2", "latest"] {
            assert!(bad.parse::<KubernetesVersion>().is_err(), "{bad}");
        }
    }
}
