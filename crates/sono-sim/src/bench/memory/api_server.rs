//! Measurement with a real API server and Node objects without machines. The aggregator is a pod on a real node on this
//! machine; its process is found by its control group.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::Method;
use serde_json::Value;
use tokio::{
    process::Command,
    time::{sleep, timeout},
};

use super::{
    Point,
    objects::{self, NODE_LABEL},
    report::Report,
};
use crate::{
    aggregator::{high_water, resident},
    bench::queries::Access,
};

const NAMESPACE: &str = "sono-bench-memory";
const PLUGIN: &str = "sleeps";
/// The image of the test plugins, with a shell.
const IMAGE: &str = "sono.local/testplugin:dev";
/// Maximum number of concurrent requests.
const MAX_CONCURRENT: usize = 32;
const JSON: &str = "application/json";
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Time limit for a command: deleting ten thousand pods takes minutes.
const COMMAND_LIMIT: Duration = Duration::from_mins(15);
/// Time limit for creating a run's pods, plus `PER_POD` for each pod.
const START_LIMIT: Duration = Duration::from_mins(3);
/// Additional time per pod: controllers with default client limits create 20 pods per second.
const PER_POD: Duration = Duration::from_millis(100);

pub(super) struct Cluster<'a> {
    access: Access,
    kubeconfig: &'a Path,
    sono: &'a Path,
    kubectl: &'a Path,
    hold: Duration,
    measures_deletion: bool,
    definition: tempfile::TempDir,
}

/// A run with a pod on every node.
struct Running {
    process: u32,
    started_kib: u64,
    seconds: f64,
}

impl<'a> Cluster<'a> {
    pub(super) fn new(
        kubeconfig: &'a Path,
        sono: &'a Path,
        kubectl: &'a Path,
        hold: Duration,
        measures_deletion: bool,
    ) -> anyhow::Result<Self> {
        let definition = tempfile::tempdir()?;
        // JSON is YAML.
        fs_err::write(
            definition.path().join("plugin.yaml"),
            objects::plugin(PLUGIN, IMAGE).to_string(),
        )?;
        Ok(Self {
            access: Access::read(kubeconfig)?,
            kubeconfig,
            sono,
            kubectl,
            hold,
            measures_deletion,
            definition,
        })
    }

    /// Measures all sizes, the smallest first. Deletes all created objects, also on errors.
    pub(super) async fn measure(&self, sizes: &[usize], report: &mut Report) -> anyhow::Result<()> {
        self.clear()
            .await
            .context("cannot delete the objects of an earlier benchmark")?;
        let measured = tokio::select! {
            measured = self.all(sizes, report) => measured,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        };
        let cleared = self.clear().await.context("cannot delete nodes and run");
        measured?;
        cleared
    }

    async fn all(&self, sizes: &[usize], report: &mut Report) -> anyhow::Result<()> {
        for &size in sizes {
            let nodes = self.nodes(size).await.context("cannot create nodes")?;
            let point = self.point(nodes).await;
            report.add(point.with_context(|| format!("{nodes} nodes"))?);
        }
        Ok(())
    }

    async fn point(&self, nodes: usize) -> anyhow::Result<Point> {
        let running = self.run(nodes).await?;
        sleep(self.hold).await;
        let mut point = Point {
            server: "API server",
            program: "sono".to_owned(),
            nodes,
            started_kib: running.started_kib,
            memory_kib: high_water(running.process).context("the aggregator has ended")? >> 10,
            resident_kib: resident(running.process).context("the aggregator has ended")? >> 10,
            pods_seconds: running.seconds,
            ..Point::default()
        };
        let began = Instant::now();
        self.delete().await?;
        if self.measures_deletion {
            point.delete_seconds = Some(began.elapsed().as_secs_f64());
            self.run(nodes).await?;
            let began = Instant::now();
            self.kubectl(&["delete", "namespace", NAMESPACE, "--wait"]).await?;
            point.namespace_seconds = Some(began.elapsed().as_secs_f64());
            // Deletes the cluster roles, which are outside the namespace.
            self.delete().await?;
        }
        Ok(point)
    }

    /// Starts a run and waits until its plugin has a pod on every node.
    async fn run(&self, nodes: usize) -> anyhow::Result<Running> {
        let began = Instant::now();
        let file = self.definition.path().join("plugin.yaml");
        let arguments = [
            OsStr::new("run"),
            OsStr::new("-n"),
            OsStr::new(NAMESPACE),
            OsStr::new("-p"),
            file.as_os_str(),
        ];
        stdout_of(self.command(self.sono).args(arguments)).await?;
        let process = self.process(began).await?;
        let set = format!("/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets?labelSelector=sonobuoy-plugin={PLUGIN}");
        let limit = START_LIMIT + PER_POD * u32::try_from(nodes)?;
        let mut started_kib = 0;
        loop {
            let sets = self.access.get(&set).await?;
            let status = &sets["items"][0]["status"];
            let number = |field: &str| status[field].as_u64().unwrap_or_default();
            if number("currentNumberScheduled") == 0 {
                started_kib = high_water(process).context("the aggregator has ended")? >> 10;
            }
            if number("currentNumberScheduled") >= nodes as u64 {
                return Ok(Running {
                    process,
                    started_kib,
                    seconds: began.elapsed().as_secs_f64(),
                });
            }
            ensure!(
                began.elapsed() < limit,
                "{} of {nodes} pods after {} s",
                number("currentNumberScheduled"),
                limit.as_secs()
            );
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Process ID of the aggregator.
    async fn process(&self, began: Instant) -> anyhow::Result<u32> {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=sonobuoy-component=aggregator");
        loop {
            let pods = self.access.get(&path).await?;
            let uid = pods["items"][0]["metadata"]["uid"].as_str().unwrap_or_default();
            if let Some(process) = process_of(uid) {
                return Ok(process);
            }
            ensure!(
                began.elapsed() < START_LIMIT,
                "the process of the aggregator's pod is not on this machine: only clusters of `cargo xtask cluster` can be measured"
            );
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Creates nodes until the cluster has at least `size`; returns their number.
    async fn nodes(&self, size: usize) -> anyhow::Result<usize> {
        let nodes = self.access.get("/api/v1/nodes").await?;
        let found = nodes["items"].as_array().map_or(0, Vec::len);
        stream::iter(found..size)
            .map(|number| async move {
                let body = objects::bare_node(&format!("bench{number:05}"));
                self.expect(Method::POST, "/api/v1/nodes", &body, &[201, 409]).await
            })
            .buffer_unordered(MAX_CONCURRENT)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(found.max(size))
    }

    /// Deletes the run and the nodes.
    async fn clear(&self) -> anyhow::Result<()> {
        self.delete().await?;
        let nodes = self
            .access
            .get(&format!("/api/v1/nodes?labelSelector={NODE_LABEL}=true"))
            .await?;
        let names = nodes["items"].as_array().into_iter().flatten();
        let names = names.filter_map(|node| node["metadata"]["name"].as_str());
        stream::iter(names)
            .map(|name| async move {
                let path = format!("/api/v1/nodes/{name}");
                self.expect(Method::DELETE, &path, &Value::Null, &[200, 404]).await
            })
            .buffer_unordered(MAX_CONCURRENT)
            .try_collect::<Vec<()>>()
            .await
            .map(drop)
    }

    async fn delete(&self) -> anyhow::Result<()> {
        let mut delete = self.command(self.sono);
        stdout_of(delete.args(["delete", "-n", NAMESPACE, "--wait"]))
            .await
            .map(drop)
    }

    async fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<()> {
        stdout_of(self.command(self.kubectl).args(arguments)).await.map(drop)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("KUBECONFIG", self.kubeconfig).kill_on_drop(true);
        command
    }

    async fn expect(&self, method: Method, path: &str, body: &Value, expected: &[u16]) -> anyhow::Result<()> {
        let (status, answer) = self.access.send(method.clone(), path, JSON, body).await?;
        ensure!(
            expected.contains(&status),
            "{method} {path}: {status}: {}",
            answer["message"]
        );
        Ok(())
    }
}

/// Runs a command and returns its standard output; fails if the command fails.
async fn stdout_of(command: &mut Command) -> anyhow::Result<String> {
    let output = timeout(COMMAND_LIMIT, command.stdin(Stdio::null()).output());
    let output = output
        .await
        .with_context(|| format!("{:?} timed out", command.as_std()))??;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("{:?} failed: {}: {error}", command.as_std(), output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Finds the aggregator process of the pod with this UID on this machine.
fn process_of(uid: &str) -> Option<u32> {
    let entries = fs_err::read_dir("/proc").ok()?;
    let numbers = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let read = |number: u32, file: &str| {
        fs_err::read_to_string(PathBuf::from(format!("/proc/{number}/{file}"))).unwrap_or_default()
    };
    numbers.into_iter().find(|number: &u32| {
        is_in_pod(&read(*number, "cgroup"), uid)
            && read(*number, "cmdline").split('\0').any(|word| word == "aggregator")
    })
}

/// Whether a control group belongs to a pod; some drivers write the UID with underscores.
fn is_in_pod(group: &str, uid: &str) -> bool {
    !uid.is_empty()
        && (group.contains(&format!("pod{uid}")) || group.contains(&format!("pod{}", uid.replace('-', "_"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_group_matches_only_its_pod() {
        let uid = "0c4a5d9e-1111-2222-3333-444455556666";
        assert!(is_in_pod(&format!("0::/kubepods/burstable/pod{uid}/abc\n"), uid));
        assert!(is_in_pod(
            "0::/kubepods.slice/kubepods-pod0c4a5d9e_1111_2222_3333_444455556666.slice/x\n",
            uid
        ));
        assert!(!is_in_pod(
            "0::/kubepods/pod9c4a5d9e-1111-2222-3333-444455556666/abc\n",
            uid
        ));
        assert!(!is_in_pod("0::/kubepods/pod/abc\n", ""));
    }
}
