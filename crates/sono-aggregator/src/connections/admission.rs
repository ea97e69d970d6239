//! Slots: how many requests are served at the same time, in all and of one certificate, and which one is next.
//!
//! Beyond its share a certificate waits, it is not refused: Sonobuoy's worker gives a result up after three attempts within two
//! seconds, but waits for an answer as long as it takes.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sono_types::UploadLimits;
use tokio::sync::oneshot;

/// How many connections wait at most; then the newest of the certificate with most of them is dropped.
pub(super) const MOST_WAITING: usize = 4096;
/// Slots that every certificate has, whatever the others hold. There is one certificate a plugin.
const GUARANTEED: usize = 8;
/// How long a body may bring next to nothing while others wait for its slot.
pub(crate) const LONGEST_STALL: Duration = Duration::from_secs(5);
/// The bytes that are next to nothing in that time.
const LEAST_WHILE_OTHERS_WAIT: usize = 4 << 10;

/// The slots of all certificates.
#[derive(Debug, Clone)]
pub(crate) struct Admission(Arc<Mutex<Queue>>);

#[derive(Debug)]
struct Queue {
    slots: usize,
    share: usize,
    most_waiting: usize,
    held: usize,
    certificates: BTreeMap<String, Certificate>,
}

#[derive(Debug, Default)]
struct Certificate {
    held: usize,
    waiting: VecDeque<oneshot::Sender<Slot>>,
}

impl Admission {
    pub(crate) fn new(limits: &UploadLimits, most_waiting: usize) -> Self {
        Self(Arc::new(Mutex::new(Queue {
            slots: limits.max_connections,
            share: limits.max_uploads_per_plugin,
            most_waiting,
            held: 0,
            certificates: BTreeMap::new(),
        })))
    }

    /// A slot for a request with this certificate: first come, first served; among certificates the one that holds the fewest is
    /// next. None if too many wait.
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
        held < self.share && (held < GUARANTEED || self.held < self.slots)
    }

    fn take(&mut self, name: &str) {
        self.held += 1;
        self.certificate(name).held += 1;
    }

    /// Who is next, and may start.
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

    /// A place at the end of the certificate's queue. When too many wait, the newest of the certificate with most of them leaves,
    /// which may be this one.
    fn wait(&mut self, name: &str) -> Option<oneshot::Receiver<Slot>> {
        let own = self.certificate(name).waiting.len();
        if self.waiting() >= self.most_waiting {
            for certificate in self.certificates.values_mut() {
                certificate.waiting.retain(|sender| !sender.is_closed());
            }
        }
        if self.waiting() >= self.most_waiting {
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

/// The right to have a request served.
#[derive(Debug)]
pub(crate) struct Slot {
    admission: Admission,
    certificate: String,
}

impl Slot {
    /// Whether somebody waits who could start if this one ended.
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
    /// How long the body has been waited for since it was looked at last.
    waited: Duration,
    /// The bytes that it brought meanwhile.
    brought: usize,
}

impl UploadSlot {
    pub(crate) fn new(slot: Arc<Slot>) -> Self {
        Self {
            slot,
            waited: Duration::ZERO,
            brought: 0,
        }
    }

    /// Records how long the body was waited for because of its sender, and how many bytes arrived.
    /// False when it has to give way: others wait, and it brings next to nothing.
    pub(crate) fn may_stay(&mut self, waited: Duration, brought: usize) -> bool {
        self.waited += waited;
        self.brought += brought;
        if self.waited < LONGEST_STALL {
            return true;
        }
        let stays = self.brought >= LEAST_WHILE_OTHERS_WAIT || !self.slot.is_waited_for();
        self.waited = Duration::ZERO;
        self.brought = 0;
        stays
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};

    use futures::{FutureExt as _, poll};
    use proptest::{collection::vec, prelude::any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn admission(slots: usize, share: usize, most_waiting: usize) -> Admission {
        let limits = UploadLimits {
            max_connections: slots,
            max_uploads_per_plugin: share,
            ..UploadLimits::DEFAULT
        };
        Admission::new(&limits, most_waiting)
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

    /// One that waits.
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
        let _guaranteed = take(&admission, "c", GUARANTEED);
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
    async fn slot_of_one_who_no_longer_waits_is_given_to_the_next() {
        let admission = admission(1, 1, 3);
        let held = take(&admission, "a", 1);
        let (gone, next) = (queued(&admission, "a").await, queued(&admission, "a").await);
        drop(gone);
        drop(held);
        drop(next.await.unwrap());
        // Granted, and then nobody takes it.
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
        let seat = |mut slots: Vec<Slot>| UploadSlot::new(Arc::new(slots.pop().unwrap()));
        let (mut a, _rest) = (seat(take(&admission, "a", 1)), take(&admission, "a", 15));
        let (moment, enough) = (Duration::from_secs(1), LEAST_WHILE_OTHERS_WAIT);
        assert!(a.may_stay(LONGEST_STALL, 0), "nobody waits");
        let waiting = queued(&admission, "a").await;
        assert!(a.may_stay(LONGEST_STALL, enough), "it moves");
        assert!(a.may_stay(LONGEST_STALL.saturating_sub(moment), 0), "it has just begun");
        assert!(!a.may_stay(moment, enough - 1));
        drop(waiting);
        assert!(a.may_stay(LONGEST_STALL, 0), "nobody waits any more");
        let _guaranteed = take(&admission, "b", GUARANTEED);
        let _waiting = queued(&admission, "b").await;
        assert!(!a.may_stay(LONGEST_STALL, 0), "another certificate waits");
    }

    proptest! {
        /// Whatever is asked for, given back and given up: the books are right, and nobody waits who may start.
        #[test]
        fn slots_are_not_lost_and_nobody_waits_in_vain(steps in vec((0..4_usize, 0..3_usize, any::<usize>()), 1..150)) {
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
                prop_assert!(queue.waiting() <= queue.most_waiting);
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
