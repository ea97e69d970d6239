//! Queries of everything in a cluster, with bounded memory, a rate limit and verbatim errors of the server.
//!
//! Callers decide where the data is stored: lists are passed item by item to a [`Sink`], logs are streamed.

mod discovery;
mod error;
mod list;
mod name;
mod path;
mod reader;
mod throttle;

pub use discovery::{Discovery, DiscoveryProblem, Resource};
pub use error::QueryError;
pub use list::{ListEnd, ListRequest, Sink};
pub use name::{ApiName, ApiNameError};
pub use path::encode;
pub use reader::{Probe, Reader, ResponseBody};
pub use throttle::Rate;
