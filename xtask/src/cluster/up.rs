//! `cluster up`: from nothing, from a running cluster, or from the remains of one.

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
    down, fake_nodes, foreign,
    host::HostSettings,
    kubeconfig, network,
    node::Node,
    node_parts,
    programs::{self, Programs},
    runtime::Runtime,
    settings::{Change, Settings, UpArguments},
    state::{self, State},
};
use crate::{
    cache,
    images::{self, Archive},
    say,
    step::step,
    wait,
};

/// Generous: it is only reached when something is broken, and the machine may be busy with other work.
const LIMIT: Duration = Duration::from_mins(2);

pub(crate) fn run(arguments: &UpArguments) -> anyhow::Result<()> {
    if let Some(kubeconfig) = foreign::kubeconfig() {
        say::progress(format_args!(
            "KUBECONFIG is set: using the cluster of {}, building nothing",
            kubeconfig.display()
        ));
        return Ok(());
    }
    require_root()?;
    let _lock = lock()?;
    let wanted = &arguments.settings;
    if let Some(state) = State::load()? {
        let running = state.complete && daemon::noted()?.iter().all(|daemon| daemon.running);
        match state.settings.change_to(wanted) {
            _ if !running => say::progress("removing the remains of a cluster that is not whole"),
            Change::Nothing => {
                say::progress(format_args!(
                    "the cluster is up already: {}",
                    state::kubeconfig().display()
                ));
                return Ok(());
            }
            Change::AddNodes => return add_nodes(state, wanted.nodes),
            Change::Recreate(difference) if arguments.recreate => {
                say::progress(format_args!("throwing the running cluster away: {difference}"));
            }
            Change::Recreate(difference) => bail!(
                "the running cluster is another one: {difference}\n\
                 hint: `cargo xtask cluster up --recreate …` throws it away first"
            ),
        }
        // Built first: a running cluster is of use until its successor can start.
        build(wanted)?;
        down::remove(Some(&state))?;
    }
    let (programs, archives) = build(wanted)?;
    // Only now: what it remembers includes iptables, which may just have been installed.
    let state = State {
        settings: wanted.clone(),
        complete: false,
        host: HostSettings::remember()?,
        programs: programs.clone(),
    };
    let done = format!("started Kubernetes {}, {} node(s)", wanted.kubernetes, wanted.nodes);
    with_hint(step(&done, || start(&programs, &archives, state)))?;
    say::progress(format_args!("export KUBECONFIG={}", state::kubeconfig().display()));
    Ok(())
}

fn build(wanted: &Settings) -> anyhow::Result<(Programs, Vec<Archive>)> {
    let programs = programs::ensure(&wanted.kubernetes)?;
    let archives = addons::images(&programs.coredns)?;
    Ok((programs, archives))
}

fn require_root() -> anyhow::Result<()> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        bail!("must be root: it makes network namespaces, mounts and control groups");
    }
    Ok(())
}

/// Two `up` at once would build over each other; the second waits and finds the cluster of the first.
pub(crate) fn lock() -> anyhow::Result<fs::File> {
    let file = fs::File::create(cache::directory("locks")?.join("cluster"))?;
    if file.file().try_lock().is_err() {
        say::progress("another `cluster up` or `down` is at work, waiting for it …");
        file.file().lock().context("lock the cluster")?;
    }
    Ok(file)
}

fn with_hint(result: anyhow::Result<()>) -> anyhow::Result<()> {
    let logs = state::log_directory()?;
    result.with_context(|| format!("start the cluster (logs: {}; `up` again starts afresh)", logs.display()))
}

fn start(programs: &Programs, archives: &[Archive], mut state: State) -> anyhow::Result<()> {
    state.save()?;
    let settings = state.settings.clone();
    let nodes = Node::up_to(settings.nodes);
    cgroup::create(cgroup::DAEMONS)?;
    certificates::create_authority()?;
    certificates::create_control_plane()?;
    kubeconfig::write(&state::kubeconfig(), certificates::ADMINISTRATOR)?;
    // Pods that take the node's resolver get an empty one: nothing here asks beyond the machine.
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
        // Before that their permissions are not there yet, and the controller manager ends.
        daemons.push(control_plane::start_controller_manager(programs, &settings)?);
        daemons.push(control_plane::start_scheduler(programs, &settings)?);
        daemons.extend(start_proxies(&nodes, programs)?);
        daemons.extend(joined(nodes_started)?);
        anyhow::Ok(())
    })?;
    step("  created cluster DNS", || addons::create_dns(&programs.kubernetes))?;
    step("  nodes ready and DNS available", || {
        wait_until_usable(&nodes, programs, &mut daemons)
    })?;
    // Afterwards: with the usual client limits a controller is busy with them for a minute.
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
    say::progress("images that were loaded before are not on the new nodes: `cargo xtask images --load`");
    Ok(())
}

/// Networks one after the other, as each adds routes to the others; then all container runtimes at once.
fn start_runtimes(
    new: &[Node],
    all: &[Node],
    programs: &Programs,
    archives: &[Archive],
) -> anyhow::Result<Vec<Daemon>> {
    for node in new {
        fs::create_dir_all(node.directory())?;
        network::create_node(*node, all)?;
    }
    thread::scope(|scope| {
        let started: Vec<_> = new
            .iter()
            .map(|node| scope.spawn(|| start_runtime(*node, programs, archives)))
            .collect();
        started.into_iter().map(joined).collect()
    })
}

fn start_runtime(node: Node, programs: &Programs, archives: &[Archive]) -> anyhow::Result<Daemon> {
    certificates::create_node(node)?;
    let mut containerd = node_parts::start_containerd(node, programs)?;
    wait::until("the container runtime answers", LIMIT, || {
        containerd.check()?;
        Ok(UnixStream::connect(node.runtime_socket()).is_ok().then_some(()))
    })?;
    let runtime = Runtime::of(node, &programs.containerd);
    for archive in archives {
        images::load(&runtime, archive)?;
    }
    Ok(containerd)
}

/// A kubelet tries again until the API server is ready, so it may start before that.
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
    wait::until("the API server serves", LIMIT, || {
        check(daemons)?;
        Ok(control_plane::api_serves().then_some(()))
    })?;
    wait::until("the API server is ready", LIMIT, || {
        check(daemons)?;
        Ok(addons::api_is_ready(&programs.kubernetes).then_some(()))
    })
}

/// One condition after the other, because every look is a process, and the machine is busy now.
fn wait_until_usable(nodes: &[Node], programs: &Programs, daemons: &mut [Daemon]) -> anyhow::Result<()> {
    let mut wait_for = |what: &str, holds: &dyn Fn() -> bool| {
        wait::until(what, LIMIT, || {
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

fn joined<T>(thread: thread::ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    match thread.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
