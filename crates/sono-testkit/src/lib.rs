//! Test support: a small in-memory Kubernetes API and image registry, served over plain HTTP on loopback.
//!
//! The tests of `cargo xtask e2e` also use a real registry server and a proxy that cuts connections.
//!
//! The API stores objects, records the order of changes, serves watches, and fails requests on demand. It has no
//! scheduler and no controllers: tests play their part with [`FakeApi::put`].

mod api;
pub mod corpus;
mod cutter;
mod identity;
mod proxy;
mod registry;
mod server;
mod vectors;
mod whoami;

pub use api::{Executed, FakeApi, Trouble, forbidden};
pub use cutter::Cutter;
pub use identity::{Identity, Template, Validity};
pub use proxy::{ProxyLogin, ProxyServer};
pub use registry::{Contents, FakeRegistry, Fixed, digest};
pub use server::{REGISTRY_PROGRAM, RegistryServer, ServerOptions};
pub use vectors::vectors;
pub use whoami::WhoamiServer;
