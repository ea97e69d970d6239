//! Plugin definitions, run configuration and the Kubernetes objects rendered from them.
