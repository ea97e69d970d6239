//! What only events show: volumes that cannot be mounted, and pods that cannot be created.

use jiff::{SignedDuration, Timestamp};

use super::{place, sentence, without_containers};
use crate::{EventView, PodView, elapsed};

/// Reasons of the events that tell of volumes.
pub const MOUNT_EVENTS: [&str; 2] = ["FailedMount", "FailedAttachVolume"];

/// How old an event may be that still tells of now: the kubelet waits up to two minutes between its tries, each of which
/// may take two.
const FRESH: SignedDuration = SignedDuration::from_mins(5);

/// What the events say about volumes that keep the containers of `pod` from being made.
pub fn unmounted(pod: &PodView, events: &[EventView], now: Timestamp) -> Option<String> {
    let (reason, message) = latest_event(pod.uid.as_deref()?, &MOUNT_EVENTS, events, now)?;
    let since = without_containers(pod).map_or(SignedDuration::ZERO, |since| now.duration_since(since));
    Some(format!(
        "{} has no containers after {}, because a volume cannot be mounted: {message} ({reason}); correct the plugin's volumes, or make what they name",
        place(pod),
        elapsed(since.unsigned_abs())
    ))
}

/// Reason of the events that tell of pods that a controller cannot create.
pub const CREATE_EVENT: &str = "FailedCreate";

/// What the events say about pods that the controller of an object with this `uid` cannot create.
pub fn uncreated(uid: &str, events: &[EventView], now: Timestamp) -> Option<String> {
    let (_, message) = latest_event(uid, &[CREATE_EVENT], events, now)?;
    Some(message)
}

/// Reason and message of the latest fresh event about an object.
fn latest_event(uid: &str, reasons: &[&str], events: &[EventView], now: Timestamp) -> Option<(String, String)> {
    let wanted = events
        .iter()
        .filter(|event| !uid.is_empty() && event.about == uid && reasons.contains(&event.reason.as_str()));
    let (_, last) = wanted
        .filter_map(|event| Some((event.at?, event)))
        .filter(|(time, _)| now.duration_since(*time) <= FRESH)
        .max_by_key(|(time, _)| *time)?;
    let message = sentence(last.message.trim_start_matches(COMBINED));
    Some((last.reason.clone(), message))
}

/// What the recorder of events puts in front of one that stands for many.
const COMBINED: &str = "(combined from similar events): ";
