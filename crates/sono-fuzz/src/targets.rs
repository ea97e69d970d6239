//! The fuzz targets.

mod archive;
mod done_file;
mod headers;
mod kubeconfig;
mod plugin;
mod results;

/// Code under test that reads bytes from outside.
#[derive(Debug)]
pub struct Target {
    /// Name for `--target`.
    pub name: &'static str,
    /// Panics when something is wrong.
    pub run: fn(&[u8]),
    /// Initial inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words with a meaning in the target's format.
    pub dictionary: &'static [&'static str],
}

/// All targets.
pub static TARGETS: [Target; 13] = [
    plugin::PLUGIN,
    results::JUNIT,
    results::GOJSON,
    results::MANUAL,
    results::TEXT,
    archive::TAR,
    headers::DISPOSITION,
    headers::PROGRESS,
    headers::PEM,
    kubeconfig::KUBECONFIG,
    kubeconfig::PROXY,
    kubeconfig::CREDENTIAL,
    done_file::DONE_FILE,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::run_input;

    #[test]
    fn targets_have_unique_names_and_accept_their_seeds() {
        let names: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
        assert_eq!(names.len(), TARGETS.len());
        for target in &TARGETS {
            let seeds = (target.seeds)();
            assert!(!seeds.is_empty(), "{}", target.name);
            for seed in seeds.iter().map(Vec::as_slice).chain([&b""[..], &[0xff; 700]]) {
                assert_eq!(run_input(target, seed), Ok(()), "{}", target.name);
            }
        }
    }
}
