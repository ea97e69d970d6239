//! The built-in plugin `systemd-logs`: the journal of one machine, or the files of `/var/log`.

mod collect;
mod command;
mod files;
mod invocation;
mod journal;

pub use command::systemd_logs;
