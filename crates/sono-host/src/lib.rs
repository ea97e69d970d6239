//! The built-in plugins that look at one machine: `host-check` (kernel, memory, disks, time, limits and DNS) and
//! `systemd-logs` (the journal, or the files of `/var/log`).
//!
//! The former reads files and asks file systems for their space; it starts no program and sends nothing over a network. What
//! is read (`gather`) and what is made of it (`judge`) are apart: the latter is pure.

mod below;
mod command;
mod facts;
mod gather;
mod judge;
mod logs;
mod run;
mod space;
mod stay;

pub use command::command;
pub use facts::{Facts, Space, Volume};
pub use gather::gather;
pub use judge::judge;
pub use logs::systemd_logs;
pub use run::{HostError, Options, RESULT_FILE, run};
