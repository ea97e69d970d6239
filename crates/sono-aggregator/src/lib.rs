//! The server inside the cluster: it starts plugins, collects their results over mutual TLS, queries the cluster,
//! post-processes and packs one archive.
//!
//! [`run`] decides, everything else acts. It knows neither what a result file means (`sono-results`) nor how an object
//! looks (`sono-manifest`), and it does not start workers: they come to it.

pub mod run;
