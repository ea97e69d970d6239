//! `cluster up`: starts a cluster, extends a running one, or replaces an incomplete one.

use std::{
    os::unix::{fs::MetadataExt as _, net::UnixStream},
    thread,
    time::Duration,
};

use anyhow::{Context, bail};
use fs_err as fs;

use super::{
    addons, certificates, cgroup, control_plane,
    daemon::{self, Daemon},
    down, external, fake_nodes,
    host::HostSettings,
    kubeconfig, load, network,
    node::Node,
    node_parts,
    programs::{self, Programs},
    runtime::Runtime,
    settings::{Change, Settings, UpArguments},
    state::{self, State},
};
use crate::{cache, images::Archive, say, step::step, wait};

/// Time limit for readiness, generous because the machine may be busy.
const READY_LIMIT: Duration = Duration::from_mins(2);

pub(crate) fn run(arguments: &UpArguments) -> anyhow::Result<()> {
    if let Some(kubeconfig) = external::kubeconfig() {
        say::progress(format_args!(
            "KUBECONFIG is set: using the cluster of {}, building nothing",
            kubeconfig.display()
        ));
        return Ok(());
    }
    require_root()?;
    let _lock = lock()?;
    let requested = &arguments.settings;
    if let Some(state) = State::load()? {
        let running = state.complete && daemon::recorded()?.iter().all(|daemon| daemon.running);
        match state.settings.change_to(requested) {
            _ if !running => say::progress("removing the remains of an incomplete cluster"),
            Change::Nothing => {
                say::progress(format_args!(
                    "the cluster is already running: {}",
                    state::kubeconfig().display()
                ));
                return Ok(());
            }
            Change::AddNodes => return add_nodes(state, requested.nodes),
            Change::Recreate(difference) if arguments.recreate => {
                say::progress(format_args!("deleting the running cluster: {difference}"));
            }
            Change::Recreate(difference) => bail!(
                "the running cluster has other settings: {difference}\n\
                hint: `cargo xtask cluster up --recreate …` deletes it first"
            ),
        }
        // Build first, so that the running cluster is available until its successor can start.
        build(requested)?;
        down::remove(Some(&state))?;
    }
    let (programs, archives) = build(requested)?;
    // Capture the host's settings after the build, which may have installed iptables.
    let state = State {
        settings: requested.clone(),
        complete: false,
        host: HostSettings::capture()?,
        programs: programs.clone(),
    };
    let done = format!(
        "started Kubernetes {}, {} node(s)",
        requested.kubernetes, requested.nodes
    );
    with_hint(step(&done, || start(&programs, &archives, state)))?;
    say::progress(format_args!("export KUBECONFIG={}", state::kubeconfig().display()));
    Ok(())
}

fn build(requested: &Settings) -> anyhow::Result<(Programs, Vec<Archive>)> {
    let programs = programs::ensure(&requested.kubernetes)?;
    let archives = addons::images(&programs.coredns)?;
    Ok((programs, archives))
}

fn require_root() -> anyhow::Result<()> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        bail!("`cluster up` requires root, for network namespaces, mounts and control groups");
    }
    Ok(())
}

/// Locks the cluster. Of two concurrent `up` commands the second waits and finds the cluster of the first.
pub(crate) fn lock() -> anyhow::Result<fs::File> {
    let file = fs::File::create(cache::directory("locks")?.join("cluster"))?;
    if file.file().try_lock().is_err() {
        say::progress("waiting for another `cluster up` or `down` …");
        file.file().lock().context("cannot lock the cluster")?;
    }
    Ok(file)
}

fn with_hint(result: anyhow::Result<()>) -> anyhow::Result<()> {
    let logs = state::log_directory()?;
    result.with_context(|| {
        format!(
            "cannot start the cluster (logs: {}; run `up` again for a new cluster)",
            logs.display()
        )
    })
}

fn start(programs: &Programs, archives: &[Archive], mut state: State) -> anyhow::Result<()> {
    state.save()?;
    let settings = state.settings.clone();
    let nodes = Node::up_to(settings.nodes);
    // Before the threads: the proxies' one may be first to write there.
    for node in &nodes {
        fs::create_dir_all(node.directory())?;
    }
    cgroup::create(cgroup::DAEMONS)?;
    certificates::create_authority()?;
    certificates::create_control_plane()?;
    kubeconfig::write(&state::kubeconfig(), certificates::ADMINISTRATOR)?;
    // Pods with the node's resolver get an empty one, since the cluster only resolves its own names.
    fs::write(state::path("resolv.conf"), "")?;
    network::create_host()?;
    let mut daemons = vec![
        control_plane::start_etcd(programs)?,
        control_plane::start_api_server(programs)?,
    ];
    thread::scope(|scope| {
        let nodes_started = scope.spawn(|| {
            let mut started = start_runtimes(&nodes, &nodes, programs, archives)?;
            started.extend(start_kubelets(&nodes, programs)?);
            anyhow::Ok(started)
        });
        step("  API server ready", || wait_until_api_is_ready(programs, &mut daemons))?;
        // Earlier their permissions do not exist yet, and the controller manager exits.
        daemons.push(control_plane::start_controller_manager(programs, &settings)?);
        daemons.push(control_plane::start_scheduler(programs, &settings)?);
        daemons.extend(start_proxies(&nodes, programs)?);
        daemons.extend(join(nodes_started)?);
        anyhow::Ok(())
    })?;
    step("  created cluster DNS", || addons::create_dns(&programs.kubernetes))?;
    step("  nodes ready and DNS available", || {
        wait_until_usable(&nodes, programs, &mut daemons)
    })?;
    // Create them last: with default client limits they occupy a controller for a minute.
    if settings.fake_nodes > 0 {
        let done = format!("  created {} fake nodes", settings.fake_nodes);
        step(&done, || fake_nodes::create(&programs.kubernetes, settings.fake_nodes))?;
    }
    state.complete = true;
    state.save()
}

fn add_nodes(mut state: State, count: u8) -> anyhow::Result<()> {
    let programs = state.programs.clone();
    let archives = addons::images(&programs.coredns)?;
    let before = state.settings.nodes;
    let all = Node::up_to(count);
    let new = &all[usize::from(before)..];
    state.settings.nodes = count;
    state.complete = false;
    state.save()?;
    let done = format!(
        "added {} node(s) to the {before} of the running cluster",
        count - before
    );
    with_hint(step(&done, || {
        let mut daemons = start_runtimes(new, &all, &programs, &archives)?;
        daemons.extend(start_kubelets(new, &programs)?);
        daemons.extend(start_proxies(new, &programs)?);
        wait_until_usable(&all, &programs, &mut daemons)
    }))?;
    state.complete = true;
    state.save()?;
    say::progress("the new nodes lack previously loaded images: run `cargo xtask images --load`");
    Ok(())
}

/// Creates networks in sequence, as each adds routes to and from the earlier ones, then starts all container runtimes in parallel.
fn start_runtimes(
    new: &[Node],
    all: &[Node],
    programs: &Programs,
    archives: &[Archive],
) -> anyhow::Result<Vec<Daemon>> {
    for node in new {
        fs::create_dir_all(node.directory())?;
        let earlier: Vec<Node> = all.iter().copied().take_while(|other| other != node).collect();
        network::create_node(*node, &earlier)?;
    }
    thread::scope(|scope| {
        let started: Vec<_> = new
            .iter()
            .map(|node| scope.spawn(|| start_runtime(*node, programs, archives)))
            .collect();
        started.into_iter().map(join).collect()
    })
}

fn start_runtime(node: Node, programs: &Programs, archives: &[Archive]) -> anyhow::Result<Daemon> {
    certificates::create_node(node)?;
    let mut containerd = node_parts::start_containerd(node, programs)?;
    wait::until("the container runtime answers", READY_LIMIT, || {
        containerd.check()?;
        Ok(UnixStream::connect(node.runtime_socket()).is_ok().then_some(()))
    })?;
    let runtime = Runtime::of(node, &programs.containerd);
    for archive in archives {
        load::load(&runtime, archive)?;
    }
    Ok(containerd)
}

/// Starts the kubelets. They retry until the API server is ready, so they may start earlier.
fn start_kubelets(nodes: &[Node], programs: &Programs) -> anyhow::Result<Vec<Daemon>> {
    nodes
        .iter()
        .map(|node| node_parts::start_kubelet(*node, programs))
        .collect()
}

fn start_proxies(nodes: &[Node], programs: &Programs) -> anyhow::Result<Vec<Daemon>> {
    nodes
        .iter()
        .map(|node| node_parts::start_proxy(*node, programs))
        .collect()
}

fn wait_until_api_is_ready(programs: &Programs, daemons: &mut [Daemon]) -> anyhow::Result<()> {
    wait::until("the API server serves", READY_LIMIT, || {
        check(daemons)?;
        Ok(control_plane::api_serves().then_some(()))
    })?;
    wait::until("the API server is ready", READY_LIMIT, || {
        check(daemons)?;
        Ok(addons::api_is_ready(&programs.kubernetes).then_some(()))
    })
}

/// Waits for one condition after the other, because every check is a process and the machine is busy now.
fn wait_until_usable(nodes: &[Node], programs: &Programs, daemons: &mut [Daemon]) -> anyhow::Result<()> {
    let mut wait_for = |condition: &str, holds: &dyn Fn() -> bool| {
        wait::until(condition, READY_LIMIT, || {
            check(daemons)?;
            Ok(holds().then_some(()))
        })
    };
    let kubernetes = &programs.kubernetes;
    wait_for("all nodes are ready", &|| addons::all_ready(kubernetes, nodes))?;
    wait_for("cluster DNS is available", &|| addons::dns_is_available(kubernetes))?;
    wait_for("pods can be created", &|| {
        addons::has_default_service_account(kubernetes)
    })
}

fn check(daemons: &mut [Daemon]) -> anyhow::Result<()> {
    daemons.iter_mut().try_for_each(Daemon::check)
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    match thread.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
