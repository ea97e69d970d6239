//! A run under attack: an aggregator that expects the results of two plugins.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use sono_types::{
    NodeName, OverallStatus, PluginName, ResultKey, Target, UploadLimits, constants, layout, routes,
    status::plugin_status,
};
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
    sync::watch,
    time::{sleep, timeout},
};

use super::{attacker::Kind, bystander, network};
use crate::{
    aggregator::Aggregator,
    content, status,
    world::{self, Environments, Plugin, World, WorldParameters},
};

/// The attacking plugin; the attackers use its certificate.
pub(super) const NOISY: &str = "noisy";
/// The plugin that must not be affected.
pub(super) const BYSTANDER: &str = "bystander";

/// Time limits for starting a run and for packing its archive.
const START_LIMIT: Duration = Duration::from_mins(1);
const SEAL_LIMIT: Duration = Duration::from_mins(2);
/// Time limit for the remaining results after the attack.
const COMPLETE_LIMIT: Duration = Duration::from_mins(1);

/// A run with two plugins on `nodes` nodes each.
pub(super) struct Scene {
    pub(super) aggregator: Aggregator,
    world: World,
    nodes: usize,
    environments: Environments,
    attackers: Vec<Child>,
    own_network: bool,
}

impl Scene {
    pub(super) async fn start(program: &Path, nodes: usize, own_network: bool) -> anyhow::Result<Self> {
        world::raise_open_files()?;
        let plugin = |name, result_format| Plugin {
            name,
            driver: "DaemonSet",
            order: 0,
            result_format,
        };
        let plan = WorldParameters {
            nodes: (0..nodes).map(content::node).collect(),
            plugins: vec![plugin(NOISY, "junit"), plugin(BYSTANDER, "raw")],
            limits: UploadLimits::default(),
            pods: false,
        };
        let world = if own_network {
            network::set_up().await?;
            World::at(plan, network::AGGREGATOR)?
        } else {
            World::new(plan)?
        };
        let mut aggregator = Aggregator::start(program, &world, 0)?;
        let environments = watch::Sender::new(Environments::new());
        tokio::select! {
            controlled = timeout(START_LIMIT, world.control(&environments)) => controlled.context("timeout while starting the run")??,
            ended = aggregator.ended() => {
                let log = fs_err::read_to_string(&aggregator.log)?;
                bail!("the aggregator ended: {}: {log}", ended?);
            }
        }
        let environments = environments.borrow().clone();
        Ok(Self {
            aggregator,
            world,
            nodes,
            environments,
            attackers: Vec::new(),
            own_network,
        })
    }

    /// Starts attackers that share `count` connections or requests, each with its own address if possible.
    pub(super) async fn attack(&mut self, kind: Kind, count: usize, attackers: usize) -> anyhow::Result<()> {
        let name = clap::ValueEnum::to_possible_value(&kind).context("the attacker has a name")?;
        for _ in 0..attackers {
            let mut child = network::command(self.own_network)?
                .args(["attacker", name.get_name()])
                .args(["--count", &(count / attackers).max(1).to_string()])
                .args(["--nodes", &self.nodes.to_string()])
                .envs(&self.environments[NOISY])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .kill_on_drop(true)
                .spawn()?;
            if self.own_network {
                network::connect(&child, self.attackers.len() + 1).await?;
            }
            let input = child.stdin.as_mut().context("the attacker has a standard input")?;
            input.write_all(b"begin\n").await?;
            self.attackers.push(child);
        }
        Ok(())
    }

    /// Starts a worker program of the noisy plugin on `node` with this results directory.
    pub(super) fn worker(&self, program: &Path, node: usize, results: &Path) -> anyhow::Result<Child> {
        Ok(Command::new(program)
            .args(["worker", "single-node"])
            .envs(&self.environments[NOISY])
            .env(sono_types::env::NODE_NAME, content::node(node))
            .env(sono_types::env::SONOBUOY_RESULTS_DIR, results)
            .env(sono_types::env::SONOBUOY_PROGRESS_PORT, "0")
            .env_remove(sono_types::env::SONOBUOY_PLUGIN_POD)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?)
    }

    pub(super) fn client(&self, plugin: &str) -> anyhow::Result<reqwest::Client> {
        world::client(&world::worker_config(
            &self.environments[plugin],
            Some(&content::node(0)),
        )?)
    }

    pub(super) fn url(&self, plugin: &str, node: usize) -> String {
        let base = &self.environments[plugin][sono_types::env::AGGREGATOR_URL];
        format!("{base}/api/v1/results/by-node/{}/{plugin}", content::node(node))
    }

    pub(super) fn urls(&self, plugin: &str) -> Vec<String> {
        (0..self.nodes).map(|node| self.url(plugin, node)).collect()
    }

    /// Ends the attack, uploads missing results, waits for the archive, and checks that it has the bystander's results.
    pub(super) async fn end(&mut self) -> anyhow::Result<sono_bundle::Bundle> {
        for mut attacker in std::mem::take(&mut self.attackers) {
            attacker.start_kill()?;
            attacker.wait().await?;
        }
        for plugin in [BYSTANDER, NOISY] {
            let sent = bystander::complete(&self.client(plugin)?, self.urls(plugin), COMPLETE_LIMIT).await;
            sent.with_context(|| format!("results of {plugin} are not accepted after the attack"))?;
        }
        let world = &self.world;
        let sealed = async {
            loop {
                let status = status::last(world)?.unwrap_or_default();
                if let Some(archive) = status.archive() {
                    return anyhow::Ok(archive.name.clone());
                }
                ensure!(status.status != OverallStatus::Failed, "the run failed");
                sleep(Duration::from_millis(50)).await;
            }
        };
        let name = tokio::select! {
            sealed = timeout(SEAL_LIMIT, sealed) => sealed.context("timeout while waiting for the archive")??,
            ended = self.aggregator.ended() => bail!("the aggregator ended: {}", ended?),
        };
        let bundle = sono_bundle::Bundle::open(&self.world.volume().join(name))?;
        for node in 0..self.nodes {
            let path = archive_path(BYSTANDER, node, "result")?;
            ensure!(bundle.read(&path)?.is_some(), "{path} is not in the archive");
        }
        Ok(bundle)
    }

    /// Waits until the status of a node's result is complete.
    pub(super) async fn wait_for_result(&self, plugin: &str, node: usize) -> anyhow::Result<()> {
        let node = content::node(node);
        loop {
            let status = status::last(&self.world)?.unwrap_or_default();
            let mut rows = status.rows().iter();
            let is_complete = |row: &sono_types::PluginStatus| {
                row.plugin == plugin && row.node == node && row.status == plugin_status::COMPLETE
            };
            if rows.any(is_complete) {
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Size of the journal in bytes.
    pub(super) fn journal_bytes(&self) -> anyhow::Result<u64> {
        let mut bytes = 0;
        for entry in fs_err::read_dir(self.world.volume())? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().contains("journal") {
                bytes += entry.metadata()?.len();
            }
        }
        Ok(bytes)
    }

    /// Status code and duration of a request to the aggregator's loopback listener.
    pub(super) async fn request_status(&self, headers: &[(&str, &str)]) -> anyhow::Result<(u16, Duration)> {
        let url = format!("http://127.0.0.1:{}{}", constants::LOCAL_PORT, routes::LOCAL_STATUS);
        let client = reqwest::Client::builder().no_proxy().build()?;
        let began = Instant::now();
        let mut request = client.get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Ok((request.send().await?.status().as_u16(), began.elapsed()))
    }
}

/// Path of a node's result file in the archive.
pub(super) fn archive_path(plugin: &str, node: usize, file: &str) -> anyhow::Result<String> {
    let target = Target::Node(NodeName::parse(&content::node(node))?);
    let key = ResultKey::new(PluginName::parse(plugin)?, target);
    Ok(format!("{}/{file}", layout::results_dir(&key)))
}
