//! The built-in plugins that check one machine: `host-check` (kernel, memory, disks, time, limits and DNS) and
//! `systemd-logs` (the journal, or the files of `/var/log`).
//!
//! `host-check` reads files and the space of file systems. It starts no programs and sends nothing over a network.
//! Reading (`gather`) is separate from judging (`judge`), which is pure.

mod command;
mod disk_space;
mod facts;
mod gather;
mod judge;
mod logs;
mod park;
mod rooted_path;
mod run;

pub use command::command;
pub use facts::{Facts, Space, Volume};
pub use gather::gather;
pub use judge::judge;
pub use logs::systemd_logs;
pub use run::{HostError, Options, RESULT_FILE, run};
