//! Failures that only Events show: volumes that cannot be mounted, and pods that cannot be created.

use jiff::{SignedDuration, Timestamp};

use super::{no_containers_since, place, sentence};
use crate::{EventView, PodView, elapsed};

/// Reasons of Events about volumes that cannot be mounted.
pub const MOUNT_EVENTS: [&str; 2] = ["FailedMount", "FailedAttachVolume"];

/// Age up to which an Event counts as current: the kubelet waits up to two minutes between attempts, each of which may
/// take two minutes.
const MAX_AGE: SignedDuration = SignedDuration::from_mins(5);

/// The Event's message about volumes that prevent the containers of `pod` from being created.
pub fn mount_failure(pod: &PodView, events: &[EventView], now: Timestamp) -> Option<String> {
    let (reason, message) = latest_event(pod.uid.as_deref()?, &MOUNT_EVENTS, events, now)?;
    let since = no_containers_since(pod).map_or(SignedDuration::ZERO, |since| now.duration_since(since));
    Some(format!(
        "{} has no containers after {}, because a volume cannot be mounted: {message} ({reason}); correct the plugin's volumes, or create the missing objects",
        place(pod),
        elapsed(since.unsigned_abs())
    ))
}

/// Reason of Events about pods that a controller cannot create.
pub const CREATE_EVENT: &str = "FailedCreate";

/// The Event's message about pods that the controller of the object with this `uid` cannot create.
pub fn creation_failure(uid: &str, events: &[EventView], now: Timestamp) -> Option<String> {
    let (_, message) = latest_event(uid, &[CREATE_EVENT], events, now)?;
    Some(message)
}

/// Reason and message of the latest recent Event about an object.
fn latest_event(uid: &str, reasons: &[&str], events: &[EventView], now: Timestamp) -> Option<(String, String)> {
    let matching = events
        .iter()
        .filter(|event| !uid.is_empty() && event.about == uid && reasons.contains(&event.reason.as_str()));
    let (_, last) = matching
        .filter_map(|event| Some((event.at?, event)))
        .filter(|(time, _)| now.duration_since(*time) <= MAX_AGE)
        .max_by_key(|(time, _)| *time)?;
    let message = sentence(last.message.trim_start_matches(COMBINED));
    Some((last.reason.clone(), message))
}

/// The prefix of an Event that stands for several.
const COMBINED: &str = "(combined from similar events): ";
