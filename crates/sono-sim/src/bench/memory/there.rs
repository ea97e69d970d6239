//! A real API server with Node objects behind which no machine is. The aggregator is a pod on one of the real nodes, which are on this
//! machine: its process is found by its control group.

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
/// The image of the tests' plugins: a shell and little else.
const IMAGE: &str = "sono.local/testplugin:dev";
/// Requests at the same time.
const AT_ONCE: usize = 32;
const JSON: &str = "application/json";
const PAUSE: Duration = Duration::from_millis(500);
/// How long one command may take: deleting ten thousand pods takes minutes.
const LIMIT: Duration = Duration::from_mins(15);
/// How long a run may take to create its pods, apart from the time for each.
const START: Duration = Duration::from_mins(3);
/// Controllers with the usual client limits create 20 pods a second.
const PER_POD: Duration = Duration::from_millis(100);

pub(super) struct There<'a> {
    access: Access,
    kubeconfig: &'a Path,
    sono: &'a Path,
    kubectl: &'a Path,
    hold: Duration,
    deletes: bool,
    definition: tempfile::TempDir,
}

/// A run with all its pods.
struct Running {
    process: u32,
    started_kib: u64,
    seconds: f64,
}

impl<'a> There<'a> {
    pub(super) fn new(
        kubeconfig: &'a Path,
        sono: &'a Path,
        kubectl: &'a Path,
        hold: Duration,
        deletes: bool,
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
            deletes,
            definition,
        })
    }

    /// All sizes, the smallest first; everything that was created is removed, whatever happens.
    pub(super) async fn measure(&self, sizes: &[usize], report: &mut Report) -> anyhow::Result<()> {
        self.clear().await.context("removing what an earlier bench left")?;
        let measured = tokio::select! {
            measured = self.all(sizes, report) => measured,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        };
        let cleared = self.clear().await.context("removing nodes and run");
        measured?;
        cleared
    }

    async fn all(&self, sizes: &[usize], report: &mut Report) -> anyhow::Result<()> {
        for &size in sizes {
            let nodes = self.nodes(size).await.context("creating nodes")?;
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
        if self.deletes {
            point.delete_seconds = Some(began.elapsed().as_secs_f64());
            self.run(nodes).await?;
            let began = Instant::now();
            self.kubectl(&["delete", "namespace", NAMESPACE, "--wait"]).await?;
            point.namespace_seconds = Some(began.elapsed().as_secs_f64());
            // Cluster roles are not in the namespace.
            self.delete().await?;
        }
        Ok(point)
    }

    /// A run whose plugin has a pod on every node.
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
        said(self.command(self.sono).args(arguments)).await?;
        let process = self.process(began).await?;
        let set = format!("/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets?labelSelector=sonobuoy-plugin={PLUGIN}");
        let limit = START + PER_POD * u32::try_from(nodes)?;
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
            sleep(PAUSE).await;
        }
    }

    /// The number of the aggregator's process.
    async fn process(&self, began: Instant) -> anyhow::Result<u32> {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=sonobuoy-component=aggregator");
        loop {
            let pods = self.access.get(&path).await?;
            let uid = pods["items"][0]["metadata"]["uid"].as_str().unwrap_or_default();
            if let Some(process) = process_of(uid) {
                return Ok(process);
            }
            ensure!(
                began.elapsed() < START,
                "no process of the aggregator's pod is on this machine: only a cluster of `cargo xtask cluster` can be measured"
            );
            sleep(PAUSE).await;
        }
    }

    /// Creates nodes until the cluster has so many, if it has fewer; returns how many it has.
    async fn nodes(&self, size: usize) -> anyhow::Result<usize> {
        let nodes = self.access.get("/api/v1/nodes").await?;
        let found = nodes["items"].as_array().map_or(0, Vec::len);
        stream::iter(found..size)
            .map(|number| async move {
                let body = objects::bare_node(&format!("bench{number:05}"));
                self.expect(Method::POST, "/api/v1/nodes", &body, &[201, 409]).await
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(found.max(size))
    }

    /// Removes run and nodes.
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
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await
            .map(drop)
    }

    async fn delete(&self) -> anyhow::Result<()> {
        let mut delete = self.command(self.sono);
        said(delete.args(["delete", "-n", NAMESPACE, "--wait"])).await.map(drop)
    }

    async fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<()> {
        said(self.command(self.kubectl).args(arguments)).await.map(drop)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("KUBECONFIG", self.kubeconfig).kill_on_drop(true);
        command
    }

    async fn expect(&self, method: Method, path: &str, body: &Value, fine: &[u16]) -> anyhow::Result<()> {
        let (status, answer) = self.access.send(method.clone(), path, JSON, body).await?;
        ensure!(
            fine.contains(&status),
            "{method} {path}: {status}: {}",
            answer["message"]
        );
        Ok(())
    }
}

/// Runs a command that must succeed; returns what it prints.
async fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = timeout(LIMIT, command.stdin(Stdio::null()).output());
    let output = output
        .await
        .with_context(|| format!("{:?} takes too long", command.as_std()))??;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("{:?} ended: {}: {error}", command.as_std(), output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The process of this machine that is the aggregator of the pod with that UID.
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

/// Whether a process' control group is that of a pod; some drivers write its UID with underscores.
fn is_in_pod(group: &str, uid: &str) -> bool {
    !uid.is_empty()
        && (group.contains(&format!("pod{uid}")) || group.contains(&format!("pod{}", uid.replace('-', "_"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_found_by_the_control_group_of_their_pod() {
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
