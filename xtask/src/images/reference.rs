//! The references under which our images are known. `sono`'s own defaults for a development build are the first three.
//!
//! The registry name does not exist, and the tag is not `latest`: the pull policy stays `IfNotPresent`, and nothing is ever pulled.

/// The slim sidecar that uploads results.
pub(crate) const WORKER: &str = "sono.local/sono-worker:dev";
/// Both programs; answers to `/sonobuoy aggregator|worker|…`, so that it also serves as the one `--sonobuoy-image`.
pub(crate) const AGGREGATOR: &str = "sono.local/sono:dev";
/// The command line, for runs that are started inside a cluster.
pub(crate) const COMMAND_LINE: &str = "sono.local/sono-cli:dev";
/// The built-in plugin systemd-logs.
pub(crate) const SYSTEMD_LOGS: &str = "sono.local/sono-systemd-logs:dev";
/// A shell and the usual small tools, for the plugins of the tests.
pub(crate) const TEST_PLUGIN: &str = "sono.local/testplugin:dev";
/// Holds a pod's namespaces open in the test cluster.
pub(crate) const PAUSE: &str = "sono.local/pause:dev";
/// Cluster DNS of the test cluster.
pub(crate) const COREDNS: &str = "sono.local/coredns:dev";

/// The real Kubernetes suite, under the names by which plugins and the suite itself ask for them. The conformance image's tag
/// is `v` and the version of Kubernetes.
pub(crate) const CONFORMANCE: &str = "registry.k8s.io/conformance";
/// Two tags, since parts of the suite lag behind.
pub(crate) const AGNHOST: [&str; 2] = [
    "registry.k8s.io/e2e-test-images/agnhost:2.66.1",
    "registry.k8s.io/e2e-test-images/agnhost:2.55",
];
pub(crate) const BUSYBOX: &str = "registry.k8s.io/e2e-test-images/busybox:1.37.0-2";
pub(crate) const SUITE_PAUSE: &str = "registry.k8s.io/pause:3.10.2";
