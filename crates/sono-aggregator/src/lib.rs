//! The server inside the cluster that starts plugins, collects results and packs them.
