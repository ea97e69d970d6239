//! What only tests use: a small Kubernetes API in memory, served over plain HTTP on loopback.
//!
//! It stores what it is given, keeps the order of changes, serves watches, and refuses on demand. It knows no kubelet,
//! scheduler or controller: a test plays those with [`FakeApi::put`].

mod api;

pub use api::{FakeApi, forbidden};
