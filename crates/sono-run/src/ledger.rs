//! The ledger of results. Nothing is locked while a body is received: [`Ledger::begin`] returns a ticket, the body is written
//! to a temporary file, [`Ledger::request_commit`] lets one upload at a time commit it, and [`Ledger::finish`] takes the outcome.

use std::collections::BTreeMap;

use sono_types::ResultKey;

use super::record::SmallBody;

/// Permission to send the body of one result.
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket {
    key: ResultKey,
    number: u64,
}

impl Ticket {
    /// The result it is for.
    pub fn key(&self) -> &ResultKey {
        &self.key
    }
}

/// Why a result is refused. The texts are part of the contract (core §2.4).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The result is not expected (403).
    #[error("result {0} unexpected")]
    Unexpected(String),
    /// The result is stored already (409).
    #[error("result {0} already received")]
    AlreadyReceived(ResultKey),
    /// The run accepts no more results, and this one is not stored (410). Sonobuoy answers 409.
    #[error("result {0} arrived too late: the run accepts no more results, and its archive does not include this one")]
    TooLate(ResultKey),
}

/// Whether a complete body may be committed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitDecision {
    /// Commit it, then report the outcome: [`Run::finish`](super::Run::finish).
    Granted,
    /// Another upload is committing this result; the sender has to retry, since that commit may fail.
    Busy,
    /// The result is stored already.
    AlreadyReceived,
    /// The run accepts no more results, and this one is not stored.
    TooLate,
}

/// The outcome of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadOutcome {
    /// The result is stored.
    Stored(Stored),
    /// The content cannot be accepted: the result counts as an error with this reason, unless a good one follows.
    Refused(String),
    /// The worker reports that it has no result, and why.
    Reported(String),
    /// The body did not arrive: nothing changes.
    Aborted,
    /// The body arrived and could not be stored, for this reason. After a limited number of times the result fails.
    Unstored(String),
}

/// How the body of a result is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// As files in their final place, synced except for the name in the parent directory.
    InPlace,
    /// In the journal: the result's record holds the body.
    InJournal(SmallBody),
}

/// State of one expected result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    Stored,
    Failed,
}

#[derive(Debug, PartialEq)]
struct Entry {
    state: State,
    committing: Option<u64>,
    /// Number of open tickets.
    open: usize,
    /// How often a complete body could not be stored.
    unstored: u32,
}

/// All expected results and their states.
#[derive(Debug, PartialEq)]
pub(super) struct Ledger {
    entries: BTreeMap<ResultKey, Entry>,
    next: u64,
    store_tries: u32,
}

impl Ledger {
    /// An empty ledger. A result that could not be stored `store_tries` times counts as an error.
    pub(super) fn new(store_tries: u32) -> Self {
        Self {
            entries: BTreeMap::new(),
            next: 0,
            store_tries,
        }
    }

    /// Restores the state of a result from a record.
    pub(super) fn restore(&mut self, key: &ResultKey, state: State) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.state = state;
        }
    }

    pub(super) fn expect(&mut self, key: ResultKey) {
        self.entries.entry(key).or_insert(Entry {
            state: State::Waiting,
            committing: None,
            open: 0,
            unstored: 0,
        });
    }

    pub(super) fn state(&self, key: &ResultKey) -> Option<&State> {
        self.entries.get(key).map(|entry| &entry.state)
    }

    pub(super) fn settled(&self, key: &ResultKey) -> bool {
        self.entries.get(key).is_none_or(|entry| entry.state != State::Waiting)
    }

    pub(super) fn begin(&mut self, key: &ResultKey) -> Result<Ticket, Refusal> {
        match self.entries.get_mut(key) {
            None => Err(Refusal::Unexpected(key.to_string())),
            Some(Entry {
                state: State::Stored, ..
            }) => Err(Refusal::AlreadyReceived(key.clone())),
            Some(entry) => {
                entry.open += 1;
                self.next += 1;
                Ok(Ticket {
                    key: key.clone(),
                    number: self.next,
                })
            }
        }
    }

    /// Whether a body for this result is being received.
    pub(super) fn receiving(&self, key: &ResultKey) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.open > 0)
    }

    /// Whether a complete body for this result is being committed.
    pub(super) fn committing(&self, key: &ResultKey) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.committing.is_some())
    }

    pub(super) fn request_commit(&mut self, ticket: &Ticket) -> CommitDecision {
        match self.entries.get_mut(&ticket.key) {
            Some(Entry {
                state: State::Stored, ..
            })
            | None => CommitDecision::AlreadyReceived,
            Some(Entry {
                committing: Some(other),
                ..
            }) if *other != ticket.number => CommitDecision::Busy,
            Some(entry) => {
                entry.committing = Some(ticket.number);
                CommitDecision::Granted
            }
        }
    }

    /// Ends the ticket. True if the result's state changed.
    pub(super) fn finish(&mut self, ticket: &Ticket, outcome: &UploadOutcome) -> bool {
        let Some(entry) = self.entries.get_mut(&ticket.key) else {
            return false;
        };
        entry.open = entry.open.saturating_sub(1);
        let may_commit = entry.committing == Some(ticket.number);
        if may_commit {
            entry.committing = None;
        }
        let next = match outcome {
            UploadOutcome::Stored(_) if may_commit => State::Stored,
            UploadOutcome::Refused(_) | UploadOutcome::Reported(_)
                if entry.state == State::Waiting && entry.committing.is_none() =>
            {
                State::Failed
            }
            UploadOutcome::Unstored(_) => {
                entry.unstored = entry.unstored.saturating_add(1);
                if entry.unstored < self.store_tries || entry.state != State::Waiting || entry.committing.is_some() {
                    return false;
                }
                State::Failed
            }
            _ => return false,
        };
        let changed = entry.state != next;
        entry.state = next;
        changed
    }

    /// Marks a pending result as failed. False if it is settled already.
    pub(super) fn fail(&mut self, key: &ResultKey) -> bool {
        match self.entries.get_mut(key) {
            Some(entry) if entry.state == State::Waiting => {
                entry.state = State::Failed;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sono_types::{PluginName, Target};

    use super::*;

    fn key(node: &str) -> ResultKey {
        ResultKey::new(PluginName::parse("p").unwrap(), Target::parse(node).unwrap())
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::new(3);
        ledger.expect(key("a"));
        ledger
    }

    /// W-0, W-5: a result that cannot be stored is tried a bounded number of times, then it is an error; the next one may
    /// still succeed.
    #[test]
    fn a_result_that_cannot_be_stored_becomes_an_error_after_bounded_tries() {
        let mut ledger = ledger();
        for changed in [false, false, true, false] {
            let ticket = ledger.begin(&key("a")).unwrap();
            assert_eq!(ledger.request_commit(&ticket), CommitDecision::Granted);
            assert_eq!(
                ledger.finish(&ticket, &UploadOutcome::Unstored("disk".to_owned())),
                changed
            );
        }
        assert_eq!(ledger.state(&key("a")), Some(&State::Failed));
        let good = ledger.begin(&key("a")).unwrap();
        assert_eq!(ledger.request_commit(&good), CommitDecision::Granted);
        assert!(ledger.finish(&good, &UploadOutcome::Stored(Stored::InPlace)));
    }

    #[test]
    fn only_expected_results_are_taken_and_only_once() {
        let mut ledger = ledger();
        assert_eq!(
            ledger.begin(&key("b")).unwrap_err().to_string(),
            "result p/b unexpected"
        );
        let ticket = ledger.begin(&key("a")).unwrap();
        assert_eq!(ledger.request_commit(&ticket), CommitDecision::Granted);
        assert!(ledger.finish(&ticket, &UploadOutcome::Stored(Stored::InPlace)));
        assert_eq!(
            ledger.begin(&key("a")).unwrap_err().to_string(),
            "result p/a already received"
        );
    }

    #[test]
    fn a_failed_result_may_be_sent_again() {
        let mut ledger = ledger();
        let bad = ledger.begin(&key("a")).unwrap();
        assert!(ledger.finish(&bad, &UploadOutcome::Refused("no".to_owned())));
        assert_eq!(ledger.state(&key("a")), Some(&State::Failed));
        let good = ledger.begin(&key("a")).unwrap();
        assert_eq!(ledger.request_commit(&good), CommitDecision::Granted);
        assert!(ledger.finish(&good, &UploadOutcome::Stored(Stored::InPlace)));
        assert_eq!(ledger.state(&key("a")), Some(&State::Stored));
    }

    #[test]
    fn two_requests_do_not_put_the_same_result_in_place_at_once() {
        let mut ledger = ledger();
        let (one, two) = (ledger.begin(&key("a")).unwrap(), ledger.begin(&key("a")).unwrap());
        assert_eq!(ledger.request_commit(&one), CommitDecision::Granted);
        assert_eq!(ledger.request_commit(&two), CommitDecision::Busy);
        assert!(!ledger.finish(&one, &UploadOutcome::Aborted));
        assert_eq!(ledger.request_commit(&two), CommitDecision::Granted);
        assert!(ledger.finish(&two, &UploadOutcome::Stored(Stored::InPlace)));
        assert_eq!(ledger.request_commit(&one), CommitDecision::AlreadyReceived);
    }

    proptest! {
        /// With any requests in any order: a stored result remains stored, exactly one request stored it, and an
        /// abort changes nothing.
        #[test]
        fn stored_is_final(steps in prop::collection::vec((0_usize..3, 0_usize..6), 1..60)) {
            let mut ledger = ledger();
            let mut tickets: [Option<Ticket>; 3] = [None, None, None];
            let (mut stored, mut failed) = (0, false);
            for (slot, action) in steps {
                match (action, tickets[slot].take()) {
                    (0, None) => tickets[slot] = match ledger.begin(&key("a")) {
                        Ok(ticket) => { prop_assert_eq!(stored, 0); Some(ticket) }
                        Err(refusal) => { prop_assert_eq!(stored, 1); prop_assert_eq!(refusal, Refusal::AlreadyReceived(key("a"))); None }
                    },
                    (1 | 2, Some(ticket)) => {
                        if ledger.request_commit(&ticket) == CommitDecision::Granted {
                            prop_assert_eq!(stored, 0);
                            if action == 1 {
                                ledger.finish(&ticket, &UploadOutcome::Stored(Stored::InPlace));
                                stored += 1;
                            } else {
                                tickets[slot] = Some(ticket);
                            }
                        } else {
                            ledger.finish(&ticket, &UploadOutcome::Aborted);
                        }
                    }
                    (3, Some(ticket)) => {
                        // While another request commits the result, a refusal changes nothing.
                        let other = ledger.request_commit(&ticket) == CommitDecision::Busy;
                        ledger.finish(&ticket, &UploadOutcome::Refused(String::new()));
                        failed |= !other;
                    }
                    (4, Some(ticket)) => { ledger.finish(&ticket, &UploadOutcome::Aborted); }
                    (5, kept) => { ledger.fail(&key("a")); failed = true; tickets[slot] = kept; }
                    (_, kept) => tickets[slot] = kept,
                }
                let expected = if stored > 0 { State::Stored } else if failed { State::Failed } else { State::Waiting };
                prop_assert_eq!(ledger.state(&key("a")), Some(&expected));
                prop_assert!(stored <= 1);
            }
        }
    }
}
