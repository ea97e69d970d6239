//! Slots: the limit on concurrent requests, in total and per certificate, and the order of waiting requests.
//!
//! A request beyond the share of its certificate waits and is not refused: Sonobuoy's worker discards a result after three failed
//! attempts within two seconds, but waits for a response without a limit.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sono_types::UploadLimits;
use tokio::sync::oneshot;

/// Maximum number of waiting connections; beyond it, the newest of the certificate with the most is dropped.
pub(super) const MAX_WAITING: usize = 4096;
/// Slots of each certificate that other certificates cannot use. Each plugin has one certificate.
const GUARANTEED_SLOTS: usize = 8;
/// How long a body may stall while other requests wait for its slot.
pub(crate) const MAX_STALL: Duration = Duration::from_secs(5);
/// Bytes that must arrive within [`MAX_STALL`]; fewer count as a stall.
const MIN_BYTES_PER_STALL: usize = 4 << 10;

/// The slots of all certificates.
#[derive(Debug, Clone)]
pub(crate) struct Admission(Arc<Mutex<Queue>>);

#[derive(Debug)]
struct Queue {
    slots: usize,
    share: usize,
    max_waiting: usize,
    held: usize,
    certificates: BTreeMap<String, Certificate>,
}

#[derive(Debug, Default)]
struct Certificate {
    held: usize,
    waiting: VecDeque<oneshot::Sender<Slot>>,
}

impl Admission {
    pub(crate) fn new(limits: &UploadLimits, max_waiting: usize) -> Self {
        Self(Arc::new(Mutex::new(Queue {
            slots: limits.max_connections,
            share: limits.max_uploads_per_plugin,
            max_waiting,
            held: 0,
            certificates: BTreeMap::new(),
        })))
    }

    /// Waits for a slot for a request with this certificate: first come, first served within a certificate; the certificate
    /// with the fewest slots is next. `None` if too many requests wait.
    pub(crate) async fn admit(&self, certificate: &str) -> Option<Slot> {
        let waiting = {
            let mut queue = self.lock();
            queue.forget_gone(certificate);
            if queue.may_start(certificate) && queue.certificate(certificate).waiting.is_empty() {
                queue.take(certificate);
                return Some(self.slot(certificate));
            }
            queue.wait(certificate)?
        };
        waiting.await.ok()
    }

    fn slot(&self, certificate: &str) -> Slot {
        Slot {
            admission: self.clone(),
            certificate: certificate.to_owned(),
        }
    }

    fn release(&self, certificate: &str) {
        let mut queue = self.lock();
        queue.held -= 1;
        queue.certificate(certificate).held -= 1;
        let Some((next, sender)) = queue.next() else {
            queue.forget_idle(certificate);
            return;
        };
        queue.take(&next);
        drop(queue);
        // A request that was cancelled returns the slot on drop.
        drop(sender.send(self.slot(&next)));
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn certificate(&mut self, name: &str) -> &mut Certificate {
        self.certificates.entry(name.to_owned()).or_default()
    }

    fn may_start(&self, name: &str) -> bool {
        let held = self.certificates.get(name).map_or(0, |certificate| certificate.held);
        held < self.share && (held < GUARANTEED_SLOTS || self.held < self.slots)
    }

    fn take(&mut self, name: &str) {
        self.held += 1;
        self.certificate(name).held += 1;
    }

    /// The next waiting request that may start, with its certificate.
    fn next(&mut self) -> Option<(String, oneshot::Sender<Slot>)> {
        for certificate in self.certificates.values_mut() {
            let waiting = &mut certificate.waiting;
            while waiting.front().is_some_and(oneshot::Sender::is_closed) {
                waiting.pop_front();
            }
        }
        let waits =
            |(name, certificate): &(&String, &Certificate)| !certificate.waiting.is_empty() && self.may_start(name);
        let candidates = self.certificates.iter().filter(waits);
        let name = candidates.min_by_key(|(_, certificate)| certificate.held)?.0.clone();
        let sender = self.certificate(&name).waiting.pop_front()?;
        Some((name, sender))
    }

    /// Appends a request to the certificate's queue. When too many wait, the newest of the certificate with the most is dropped,
    /// which may be this one.
    fn wait(&mut self, name: &str) -> Option<oneshot::Receiver<Slot>> {
        let own = self.certificate(name).waiting.len();
        if self.waiting() >= self.max_waiting {
            for certificate in self.certificates.values_mut() {
                certificate.waiting.retain(|sender| !sender.is_closed());
            }
        }
        if self.waiting() >= self.max_waiting {
            let longest = self.certificates.values_mut().max_by_key(|one| one.waiting.len())?;
            if longest.waiting.len() <= own + 1 {
                return None;
            }
            longest.waiting.pop_back();
        }
        let (sender, receiver) = oneshot::channel();
        self.certificate(name).waiting.push_back(sender);
        Some(receiver)
    }

    fn waiting(&self) -> usize {
        self.certificates
            .values()
            .map(|certificate| certificate.waiting.len())
            .sum()
    }

    fn forget_gone(&mut self, name: &str) {
        let waiting = &mut self.certificate(name).waiting;
        while waiting.front().is_some_and(oneshot::Sender::is_closed) {
            waiting.pop_front();
        }
    }

    fn forget_idle(&mut self, name: &str) {
        if self
            .certificates
            .get(name)
            .is_some_and(|one| one.held == 0 && one.waiting.is_empty())
        {
            self.certificates.remove(name);
        }
    }
}

/// The permission to serve one request, released on drop.
#[derive(Debug)]
pub(crate) struct Slot {
    admission: Admission,
    certificate: String,
}

impl Slot {
    /// Whether a request waits that could start if this one ended.
    fn is_waited_for(&self) -> bool {
        let queue = self.admission.lock();
        let waits = |certificate: &Certificate| certificate.waiting.iter().any(|sender| !sender.is_closed());
        let is_full = queue.held >= queue.slots;
        queue.certificates.iter().any(|(name, certificate)| {
            waits(certificate) && (*name == self.certificate || (is_full && certificate.held < queue.share))
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.admission.release(&self.certificate);
    }
}

/// The throughput of a body while it has a slot. A body may stall while no other request waits for the slot.
#[derive(Debug)]
pub(crate) struct UploadSlot {
    slot: Arc<Slot>,
    /// Time spent waiting for the body since the last check.
    waited: Duration,
    /// Bytes that arrived since the last check.
    arrived: usize,
}

impl UploadSlot {
    pub(crate) fn new(slot: Arc<Slot>) -> Self {
        Self {
            slot,
            waited: Duration::ZERO,
            arrived: 0,
        }
    }

    /// Records the time spent waiting for the sender, and the number of bytes that arrived. False if the upload must end because
    /// it stalls while other requests wait.
    pub(crate) fn may_stay(&mut self, waited: Duration, arrived: usize) -> bool {
        self.waited += waited;
        self.arrived += arrived;
        if self.waited < MAX_STALL {
            return true;
        }
        let stays = self.arrived >= MIN_BYTES_PER_STALL || !self.slot.is_waited_for();
        self.waited = Duration::ZERO;
        self.arrived = 0;
        stays
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};

    use futures::{FutureExt as _, poll};
    use proptest::{collection::vec, prelude::any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn admission(slots: usize, share: usize, max_waiting: usize) -> Admission {
        let limits = UploadLimits {
            max_connections: slots,
            max_uploads_per_plugin: share,
            ..UploadLimits::DEFAULT
        };
        Admission::new(&limits, max_waiting)
    }

    /// `count` slots, which must be free.
    fn take(admission: &Admission, certificate: &str, count: usize) -> Vec<Slot> {
        let slot = |_| {
            admission
                .admit(certificate)
                .now_or_never()
                .expect("it need not wait")
                .unwrap()
        };
        (0..count).map(slot).collect()
    }

    /// A request that waits.
    async fn queued<'a>(
        admission: &'a Admission,
        certificate: &'a str,
    ) -> Pin<Box<dyn Future<Output = Option<Slot>> + 'a>> {
        let mut waiting = Box::pin(admission.admit(certificate));
        assert!(poll!(waiting.as_mut()).is_pending());
        waiting
    }

    #[tokio::test]
    async fn certificate_beyond_its_share_waits_in_order() {
        let admission = admission(100, 10, 100);
        let mut held = take(&admission, "a", 10);
        let (first, mut second) = (queued(&admission, "a").await, queued(&admission, "a").await);
        drop(take(&admission, "b", 10));
        held.pop();
        assert!(poll!(second.as_mut()).is_pending());
        let slot = first.await.unwrap();
        drop(slot);
        assert!(second.await.is_some());
    }

    #[tokio::test]
    async fn certificate_without_slots_starts_when_others_hold_all() {
        let admission = admission(20, 15, 100);
        let _held = (take(&admission, "a", 12), take(&admission, "b", 8));
        let _guaranteed = take(&admission, "c", GUARANTEED_SLOTS);
        assert!(poll!(pin!(admission.admit("c"))).is_pending());
        assert!(poll!(pin!(admission.admit("b"))).is_pending());
    }

    #[tokio::test]
    async fn freed_slot_is_given_to_the_certificate_with_the_fewest() {
        let admission = admission(30, 20, 100);
        let mut many = take(&admission, "a", 20);
        let few = take(&admission, "z", 10);
        let (mut of_many, of_few) = (queued(&admission, "a").await, queued(&admission, "z").await);
        many.pop();
        let slot = of_few.await.unwrap();
        assert!(poll!(of_many.as_mut()).is_pending());
        drop((few, slot));
        assert!(of_many.await.is_some());
    }

    #[tokio::test]
    async fn newest_of_the_longest_queue_leaves_when_too_many_wait() {
        let admission = admission(2, 1, 3);
        let mut held = (take(&admission, "a", 1), take(&admission, "b", 1));
        let first = queued(&admission, "a").await;
        let (second, third) = (queued(&admission, "a").await, queued(&admission, "a").await);
        assert!(admission.admit("a").await.is_none());
        let of_other = queued(&admission, "b").await;
        assert!(third.await.is_none());
        held.1.clear();
        assert!(of_other.await.is_some());
        held.0.clear();
        assert!(first.await.is_some());
        assert!(second.await.is_some());
    }

    #[tokio::test]
    async fn slot_of_a_cancelled_request_is_given_to_the_next() {
        let admission = admission(1, 1, 3);
        let held = take(&admission, "a", 1);
        let (gone, next) = (queued(&admission, "a").await, queued(&admission, "a").await);
        drop(gone);
        drop(held);
        drop(next.await.unwrap());
        // The slot is granted to a request that is then cancelled.
        let held = take(&admission, "a", 1);
        let granted = queued(&admission, "a").await;
        drop(held);
        drop(granted);
        drop(take(&admission, "a", 1));
        let queue = admission.lock();
        assert!(queue.held == 0 && queue.certificates.is_empty(), "{queue:?}");
    }

    #[tokio::test]
    async fn stalled_body_gives_way_only_to_others() {
        let admission = admission(16, 16, 10);
        let upload_slot = |mut slots: Vec<Slot>| UploadSlot::new(Arc::new(slots.pop().unwrap()));
        let (mut a, _rest) = (upload_slot(take(&admission, "a", 1)), take(&admission, "a", 15));
        let (moment, enough) = (Duration::from_secs(1), MIN_BYTES_PER_STALL);
        assert!(a.may_stay(MAX_STALL, 0), "no other request waits");
        let waiting = queued(&admission, "a").await;
        assert!(a.may_stay(MAX_STALL, enough), "bytes arrive");
        assert!(
            a.may_stay(MAX_STALL.saturating_sub(moment), 0),
            "the limit is not reached"
        );
        assert!(!a.may_stay(moment, enough - 1));
        drop(waiting);
        assert!(a.may_stay(MAX_STALL, 0), "no other request waits any longer");
        let _guaranteed = take(&admission, "b", GUARANTEED_SLOTS);
        let _waiting = queued(&admission, "b").await;
        assert!(!a.may_stay(MAX_STALL, 0), "another certificate waits");
    }

    proptest! {
        /// For any sequence of requests, releases and cancellations, counts are correct and no request waits that may start.
        #[test]
        fn slots_are_not_lost_and_no_request_waits_that_may_start(steps in vec((0..4_usize, 0..3_usize, any::<usize>()), 1..150)) {
            let admission = admission(12, 10, 20);
            let (mut held, mut waiting) = (Vec::new(), Vec::new());
            for (step, certificate, index) in steps {
                let certificate = ["a", "b", "c"][certificate];
                match step {
                    0 if !held.is_empty() => drop::<Slot>(held.swap_remove(index % held.len())),
                    1 if !waiting.is_empty() => drop(waiting.swap_remove(index % waiting.len())),
                    _ => waiting.push(Box::pin(admission.admit(certificate))),
                }
                waiting.retain_mut(|one| match one.as_mut().now_or_never() {
                    Some(slot) => {
                        held.extend(slot);
                        false
                    }
                    None => true,
                });
                let queue = admission.lock();
                prop_assert_eq!(queue.held, held.len());
                prop_assert!(queue.waiting() <= queue.max_waiting);
                for (name, certificate) in &queue.certificates {
                    let own = held.iter().filter(|slot| slot.certificate == *name).count();
                    prop_assert_eq!(certificate.held, own);
                    let waits = certificate.waiting.iter().any(|sender| !sender.is_closed());
                    prop_assert!(!waits || !queue.may_start(name), "{} waits: {:?}", name, queue);
                }
            }
        }
    }
}
