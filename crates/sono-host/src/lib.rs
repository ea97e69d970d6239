//! The built-in `host-check` plugin: kernel, memory, disks, time, limits and DNS of one machine.
//!
//! It reads files and asks file systems for their space; it starts no program and sends nothing over a network. What
//! is read (`gather`) and what is made of it (`judge`) are apart: the latter is pure.

mod below;
mod command;
mod facts;
mod gather;
mod judge;
mod run;
mod space;
mod stay;

pub use command::command;
pub use facts::{Facts, Space, Volume};
pub use gather::gather;
pub use judge::judge;
pub use run::{HostError, Options, RESULT_FILE, run};
