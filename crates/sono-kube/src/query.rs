//! Reading whatever a cluster has, with bounded memory, a steady rate and the server's own words when it refuses.
//!
//! It does not know where the answers go: lists end in a [`Sink`], item by item, and logs come as they are sent.

mod discovery;
mod error;
mod list;
mod path;
mod reader;
mod throttle;

pub use discovery::{Discovery, Resource, Undiscovered};
pub use error::QueryError;
pub use list::{ListEnd, ListRequest, Sink};
pub use path::encode;
pub use reader::{Opened, Probe, Reader};
pub use throttle::Rate;
