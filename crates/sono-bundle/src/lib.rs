//! Tar codec with limits, durable store, and one reader over directory or tarball.
