//! A run event as an Event of the run's ConfigMap, where `kubectl describe configmap` shows it.

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sono_kube::Kind;
use sono_manifest::Owner;
use sono_types::constants;

use crate::backend::RunEvent;

/// Maximum size of a message in bytes; some versions of the API refuse more than 1,024 bytes.
const MAX_MESSAGE_BYTES: usize = 1_000;
/// The reporting component.
const COMPONENT: &str = "sonobuoy-aggregator";

/// The Event. Its name is a hash of its content, so that a process that resumes the run writes no Event twice.
pub(super) fn event(event: &RunEvent, owner: &Owner, namespace: &str, now: Timestamp) -> Value {
    let mut hash = Sha256::new();
    for part in [owner.uid.as_str(), event.reason, &event.subject] {
        hash.update(part);
        hash.update([0]);
    }
    let hash = hash.finalize();
    let number = hash
        .iter()
        .take(8)
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let time = Timestamp::from_second(now.as_second()).unwrap_or(now).to_string();
    json!({
        "apiVersion": Kind::Event.api_version(),
        "kind": Kind::Event.name(),
        "metadata": {
            "name": format!("{}.{number:016x}", owner.name),
            "namespace": namespace,
            "labels": { constants::COMPONENT.0: constants::COMPONENT.1 },
        },
        "involvedObject": {
            "apiVersion": Kind::ConfigMap.api_version(),
            "kind": Kind::ConfigMap.name(),
            "namespace": namespace,
            "name": owner.name,
            "uid": owner.uid,
        },
        "type": if event.is_warning { "Warning" } else { "Normal" },
        "reason": event.reason,
        "message": shortened(&event.message),
        "source": { "component": COMPONENT },
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    })
}

fn shortened(message: &str) -> String {
    if message.len() <= MAX_MESSAGE_BYTES {
        return message.to_owned();
    }
    let mut end = MAX_MESSAGE_BYTES - '…'.len_utf8();
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &message[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::run_events::RunEvents;

    #[test]
    fn event_name_is_a_hash_of_its_content() {
        let owner = |uid: &str| Owner {
            name: "sonobuoy-config-cm".to_owned(),
            uid: uid.to_owned(),
        };
        let at = |second| Timestamp::from_second(second).unwrap();
        let broken = RunEvents::broken("disk full");
        let first = event(&broken, &owner("u1"), "ns", at(1));
        assert_eq!(
            first["metadata"]["name"],
            event(&broken, &owner("u1"), "ns", at(2))["metadata"]["name"]
        );
        assert_ne!(
            first["metadata"]["name"],
            event(&broken, &owner("u2"), "ns", at(1))["metadata"]["name"]
        );
        assert_eq!(first["firstTimestamp"], "1970-01-01T00:00:01Z");
        assert_eq!(first["type"], "Warning");
        assert_eq!(first["message"], "the run failed: disk full");
        assert_eq!(
            first["involvedObject"],
            json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "ns", "name": "sonobuoy-config-cm", "uid": "u1"})
        );
    }

    #[test]
    fn long_message_is_cut_between_characters() {
        let short = shortened(&"ä".repeat(900));
        assert!(
            short.len() <= MAX_MESSAGE_BYTES && short.len() > MAX_MESSAGE_BYTES - 5,
            "{}",
            short.len()
        );
        assert!(short.ends_with("ä…"));
        assert_eq!(shortened("as it is"), "as it is");
    }
}
