//! Attackers as pods of a test cluster with its nodes on this machine: they run this program from the host's file system.
//! They have a certificate and the aggregator's address; the bystanders are Job plugins with real workers.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use serde_json::{Value, json};
use sono_types::env;
use tokio::{io::AsyncWriteExt as _, process::Command, time::sleep};

use super::{
    Outcome,
    scenario::Scenario,
    scene::{BYSTANDER, NOISY},
};

const NAMESPACE: &str = "attack";
/// Namespace of the attackers. The run's namespace may restrict its pods.
const ATTACKERS: &str = "default";
/// Number of bystander plugins; each has three minutes to upload its result.
const JOBS: usize = 5;
const WITHIN: Duration = Duration::from_mins(3);
/// The image of the test plugins, with a shell.
const IMAGE: &str = "sono.local/testplugin:dev";

/// Runs one scenario on the cluster.
pub(super) async fn run(sono: &Path, scenario: Scenario) -> anyhow::Result<Outcome> {
    let (kind, count, attackers) = scenario.attackers().context("the scenario has attackers")?;
    let folder = tempfile::tempdir()?;
    delete_attackers().await?;
    let delete = ["delete", "-n", NAMESPACE, "--wait"];
    stdout_of(Command::new(sono).args(delete)).await?;
    let mut start = Command::new(sono);
    start.args(["run", "-n", NAMESPACE]);
    let jobs: Vec<String> = (0..JOBS).map(|number| format!("{BYSTANDER}-{number}")).collect();
    for (name, script) in std::iter::once((NOISY, "sleep 100000".to_owned())).chain(jobs.iter().zip(0..).map(|(name, number)| {
        let seconds = 15 + 3 * number;
        let script = format!("sleep {seconds}; echo passed > $SONOBUOY_RESULTS_DIR/result; printf $SONOBUOY_RESULTS_DIR/result > $SONOBUOY_RESULTS_DIR/done; sleep 100000");
        (name.as_str(), script)
    })) {
        let file = folder.path().join(format!("{name}.yaml"));
        let definition = json!({
            "sonobuoy-config": {"driver": "Job", "plugin-name": name, "result-format": "raw"},
            "spec": {"name": "plugin", "image": IMAGE, "command": ["/bin/sh", "-c", script]},
        });
        // JSON is YAML.
        fs_err::write(&file, definition.to_string())?;
        start.arg("-p").arg(file);
    }
    stdout_of(&mut start).await?;
    let environment = environment().await?;
    for number in 0..attackers {
        attack(number, kind_name(kind)?, count / attackers, &environment).await?;
    }
    let began = Instant::now();
    let mut outcome = Outcome {
        load: format!("{} from {attackers} pods", scenario.load(count)),
        expected: JOBS,
        attempts: JOBS,
        ..Outcome::default()
    };
    while outcome.successes < JOBS && began.elapsed() < WITHIN {
        sleep(Duration::from_secs(1)).await;
        let status: Value =
            serde_json::from_str(&stdout_of(Command::new(sono).args(["status", "-n", NAMESPACE, "--json"])).await?)?;
        let rows = status["plugins"].as_array().cloned().unwrap_or_default();
        let is_in = |row: &&Value| {
            row["plugin"]
                .as_str()
                .is_some_and(|plugin| plugin.starts_with(BYSTANDER))
                && row["status"] == "complete"
        };
        outcome.successes = rows.iter().filter(is_in).count();
    }
    outcome.p99_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    delete_attackers().await?;
    stdout_of(Command::new(sono).args(delete)).await?;
    Ok(outcome)
}

async fn delete_attackers() -> anyhow::Result<()> {
    let delete = [
        "-n",
        ATTACKERS,
        "delete",
        "pod",
        "-l",
        "sono-attack=true",
        "--grace-period=0",
        "--force",
    ];
    kubectl(&delete, None).await?;
    Ok(())
}

fn kind_name(kind: super::attacker::Kind) -> anyhow::Result<String> {
    let value = clap::ValueEnum::to_possible_value(&kind).context("the attacker has a name")?;
    Ok(value.get_name().to_owned())
}

/// The environment of the noisy plugin's worker.
async fn environment() -> anyhow::Result<Vec<Value>> {
    let selector = format!("sonobuoy-plugin={NOISY}");
    for kind in ["pod", "secret"] {
        kubectl(
            &[
                "-n",
                NAMESPACE,
                "wait",
                kind,
                "-l",
                &selector,
                "--for=create",
                "--timeout=120s",
            ],
            None,
        )
        .await?;
    }
    let get = async |kind: &str| {
        let text = kubectl(&["-n", NAMESPACE, "get", kind, "-l", &selector, "-o", "json"], None).await?;
        anyhow::Ok(serde_json::from_str::<Value>(&text)?["items"][0].clone())
    };
    let (pod, secret) = (get("pod").await?, get("secret").await?);
    let containers = pod["spec"]["containers"].as_array().cloned().unwrap_or_default();
    let worker = containers
        .iter()
        .find(|container| container["name"] == sono_types::constants::WORKER_CONTAINER);
    let mut variables = Vec::new();
    for variable in worker.context("the plugin has a worker")?["env"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let name = variable["name"].as_str().unwrap_or_default();
        let value = match variable.pointer("/valueFrom/secretKeyRef/key").and_then(Value::as_str) {
            Some(key) => {
                let encoded = secret["data"][key].as_str().context("the secret has the key")?;
                String::from_utf8(base64::engine::general_purpose::STANDARD.decode(encoded)?)?
            }
            None => variable["value"].as_str().unwrap_or_default().to_owned(),
        };
        if ![env::SONOBUOY_PLUGIN_POD, env::NODE_NAME].contains(&name) {
            variables.push(json!({"name": name, "value": value}));
        }
    }
    Ok(variables)
}

/// Creates a pod that runs this program with the host's loader and libraries.
async fn attack(number: usize, kind: String, count: usize, environment: &[Value]) -> anyhow::Result<()> {
    const HOST: &str = "/host";
    let program = std::env::current_exe()?;
    let script = format!(
        "exec $(ls {HOST}/lib64/ld-linux-*.so.* {HOST}/lib/ld-linux-*.so.* 2>/dev/null | head -n 1) \
         --library-path {HOST}/lib/$(uname -m)-linux-gnu:{HOST}/lib64 {HOST}{} attacker {kind} --count {count} --seconds 300",
        program.display()
    );
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("attacker-{number}"), "namespace": ATTACKERS, "labels": {"sono-attack": "true"}},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{
                "name": "attacker", "image": IMAGE, "command": ["/bin/sh", "-c", script], "env": environment,
                "volumeMounts": [{"name": "host", "mountPath": HOST, "readOnly": true}],
            }],
            "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
        },
    });
    kubectl(&["apply", "-f", "-"], Some(pod.to_string())).await?;
    let name = format!("pod/attacker-{number}");
    kubectl(
        &[
            "-n",
            ATTACKERS,
            "wait",
            &name,
            "--for=jsonpath={.status.phase}=Running",
            "--timeout=60s",
        ],
        None,
    )
    .await?;
    Ok(())
}

async fn kubectl(arguments: &[&str], input: Option<String>) -> anyhow::Result<String> {
    let program = std::env::var_os("SONO_KUBECTL").unwrap_or_else(|| "kubectl".into());
    let mut command = Command::new(program);
    command.args(arguments);
    let Some(input) = input else {
        return stdout_of(&mut command).await;
    };
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    let mut stdin = child.stdin.take().context("kubectl has a standard input")?;
    stdin.write_all(input.as_bytes()).await?;
    drop(stdin);
    let status = child.wait().await?;
    ensure!(status.success(), "kubectl {} failed: {status}", arguments.join(" "));
    Ok(String::new())
}

/// Runs a command and returns its standard output; fails if the command fails.
async fn stdout_of(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output().await?;
    if !output.status.success() {
        bail!(
            "{:?} failed: {}: {}",
            command.as_std(),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}
