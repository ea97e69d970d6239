//! The built-in `systemd-logs` plugin: the journal of one machine, and `/var/log` where it has none.

mod collect;
mod command;
mod files;
mod invocation;
mod journal;

pub use command::systemd_logs;
