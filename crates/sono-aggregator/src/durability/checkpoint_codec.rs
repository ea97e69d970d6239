//! A checkpoint as the checkpoint store holds it: JSON, packed with gzip, since a Secret holds 1 MiB.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use sono_run::{Checkpoint, CheckpointError};

/// Maximum size of an unpacked checkpoint in bytes: far more than 10,000 nodes and 100 plugins need.
const MAX_BYTES: u64 = 64 << 20;

/// Why bytes are not a checkpoint.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    /// They cannot be unpacked.
    #[error("not gzip")]
    Packed(#[source] sono_bundle::ArchiveError),
    /// The unpacked text is not a checkpoint.
    #[error(transparent)]
    Content(#[from] CheckpointError),
}

/// Packs the checkpoint.
pub(crate) fn encode(checkpoint: &Checkpoint) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(&checkpoint.to_json())
        .expect("writing to memory succeeds");
    encoder.finish().expect("writing to memory succeeds")
}

/// Decodes the output of [`encode`].
pub(crate) fn decode(bytes: &[u8]) -> Result<Checkpoint, DecodeError> {
    let text = sono_bundle::gunzip(bytes, MAX_BYTES).map_err(DecodeError::Packed)?;
    Ok(Checkpoint::from_json(&text)?)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use sono_run::{Failure, Planned, Record, RunStart};
    use sono_types::{NodeName, PluginName, ResultKey, RunStatus, SessionId, Target};

    use super::*;

    fn name(name: &str) -> PluginName {
        PluginName::parse(name).unwrap()
    }

    fn planned(plugin: &str, targets: Vec<String>) -> Planned {
        Planned {
            plugin: name(plugin),
            session: SessionId::from_random([7; 8]),
            order: 3,
            timeout: Some(60),
            targets,
            discovers_targets: false,
        }
    }

    fn run_start(plugins: Vec<Planned>) -> RunStart {
        RunStart {
            version: 1,
            uuid: "run".to_owned(),
            start: Timestamp::UNIX_EPOCH,
            ca_certificate: "certificate".to_owned(),
            ca_key: "key".to_owned(),
            plugins,
        }
    }

    fn key(plugin: &str, node: &str) -> ResultKey {
        ResultKey::new(name(plugin), Target::Node(NodeName::parse(node).unwrap()))
    }

    #[test]
    fn bytes_that_are_not_gzip_are_refused() {
        assert_eq!(decode(b"x").unwrap_err().to_string(), "not gzip");
    }

    /// A Secret holds 1 MiB: 20 plugins on 10,000 nodes, with long names in which nothing repeats, half of the nodes having
    /// joined, and as many failures as there may be.
    #[test]
    fn ten_thousand_nodes_fit_a_secret() {
        const NODES: usize = 10_000;
        let names: Vec<String> = (0..NODES)
            .map(|number| {
                let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
                format!("gke-{number}-{high:016x}{low:016x}.europe-west1.example.internal")
            })
            .collect();
        let plugins = (0..20).map(|number| {
            // Each plugin has other nodes.
            let nodes = names
                .iter()
                .enumerate()
                .filter(|(place, _)| (place / 100) % 20 != number);
            planned(&format!("p{number}"), nodes.map(|(_, node)| node.clone()).collect())
        });
        let mut checkpoint = Checkpoint::new(run_start(plugins.collect()), 1, uuid::Uuid::new_v4().to_string());
        for node in names.iter().skip(NODES / 2) {
            checkpoint.apply(&Record::TargetDiscovered { key: key("p0", node) });
        }
        for node in &names {
            let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
            let failure = Failure::new(format!("{high:x}{low:x}").repeat(20));
            checkpoint.apply(&Record::Failed {
                key: key("p1", node),
                failure,
            });
        }
        checkpoint.apply(&Record::Sealed {
            status: RunStatus::default(),
        });
        let bytes = encode(&checkpoint);
        assert!(bytes.len() < 512 << 10, "{}", bytes.len());
        let again = decode(&bytes).unwrap();
        assert_eq!(again.run_start.plugins, checkpoint.run_start.plugins);
        let failures = again
            .records(Timestamp::MAX)
            .iter()
            .filter(|record| matches!(record, Record::Failed { .. }))
            .count();
        assert_eq!(failures, 256, "as many as are remembered");
    }
}
