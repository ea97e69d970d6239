//! The test bed of `cargo xtask`: a real Kubernetes on this machine, the images of the conformance suite and of test plugins, the
//! start of simulation and benchmarks, and the means to run programs. Uses no product crate: the measured programs are separate.

pub mod bench;
pub mod cache;
pub mod cluster;
pub mod command;
pub mod conformance;
pub mod debian;
pub mod images;
pub mod repository;
pub mod say;
pub mod sim;
pub mod step;
mod wait;
