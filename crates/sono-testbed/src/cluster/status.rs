//! `cluster status`: shows the running cluster.

use fs_err as fs;

use super::{addons, daemon, external, programs, state, state::State};
use crate::say;

pub(crate) fn run() -> anyhow::Result<()> {
    if let Some(kubeconfig) = external::kubeconfig() {
        say::data(format_args!(
            "KUBECONFIG is set: the cluster of {} is used",
            kubeconfig.display()
        ));
    }
    let Some(state) = State::load()? else {
        say::data("the test cluster is not running");
        return Ok(());
    };
    let settings = &state.settings;
    say::data(format_args!(
        "Kubernetes {}, {}",
        settings.kubernetes,
        programs::versions()
    ));
    say::data(format_args!("kubeconfig {}", state::kubeconfig().display()));
    say::data(format_args!("logs       {}", state::log_directory()?.display()));
    if !state.complete {
        say::data("incomplete: its start was interrupted; run `up` again for a new cluster");
    }
    match addons::ready_nodes(&state.programs.kubernetes) {
        Ok((ready, all)) => say::data(format_args!("nodes      {} of {all} ready", ready.len())),
        Err(error) => say::data(format_args!("nodes      unknown: {error:#}")),
    }
    for daemon in daemon::recorded()? {
        let (name, pid) = (daemon.name, daemon.pid);
        match resident_megabytes(pid).filter(|_| daemon.running) {
            Some(megabytes) => say::data(format_args!("{name:<24} pid {pid:<8} {megabytes:>4} MB")),
            None => say::data(format_args!("{name:<24} pid {pid:<8} ended")),
        }
    }
    Ok(())
}

fn resident_megabytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes / 1024)
}
