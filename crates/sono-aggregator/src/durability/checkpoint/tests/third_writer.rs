//! A takeover with a third writer between any two of its steps, and any of its requests or answers lost.

use std::collections::VecDeque;

use proptest::prelude::*;
use sono_types::Target;

use super::*;

/// An action of another writer before a request arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Third {
    Nothing,
    /// The first aggregator writes a fact, unless it lost the run.
    OldWrites,
    /// Another aggregator takes over the run.
    AnotherTakesOver,
    /// The run is deleted.
    Deletes,
    /// An aggregator starts the run if it does not exist.
    Begins,
}

/// The outcome of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered,
    RequestLost,
    AnswerLost,
}

struct Race {
    shelf: Shelf,
    steps: Mutex<VecDeque<(Third, Fate)>>,
    /// The checkpoint on which the takeover was decided.
    decided: Mutex<Option<Vec<u8>>>,
    /// Writes of the takeover that replaced another checkpoint.
    violations: Mutex<Vec<String>>,
    others: Mutex<u64>,
    facts: Mutex<u16>,
}

fn fact(number: u16) -> Record {
    let key = sono_types::ResultKey::new(
        PluginName::parse("p").unwrap(),
        Target::parse(&format!("n{number}")).unwrap(),
    );
    Record::TargetDiscovered { key }
}

/// The facts that a checkpoint holds.
fn facts(bytes: &[u8]) -> usize {
    let records = checkpoint_codec::decode(bytes).unwrap().records(Timestamp::MIN);
    let is_fact = |record: &&Record| matches!(record, Record::TargetDiscovered { .. });
    records.iter().filter(is_fact).count()
}

impl Race {
    fn step(&self) -> Fate {
        let (third, fate) = self
            .steps
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or((Third::Nothing, Fate::Answered));
        let there = self.shelf.now().and_then(|stored| stored.content);
        let there = there.map(|bytes| checkpoint_codec::decode(&bytes).unwrap());
        match (third, there) {
            (Third::OldWrites, Some(mut there)) if there.holder == "old" => {
                let mut number = self.facts.lock().unwrap();
                *number += 1;
                there.apply(&fact(*number));
                self.shelf.put(checkpoint_codec::encode(&there));
            }
            (Third::AnotherTakesOver, Some(mut there)) => {
                let mut others = self.others.lock().unwrap();
                *others += 1;
                (there.epoch, there.holder) = (there.epoch + 1, format!("other{others}"));
                self.shelf.put(checkpoint_codec::encode(&there));
            }
            (Third::Deletes, Some(_)) => *self.shelf.content.lock().unwrap() = None,
            (Third::Begins, None) => drop(self.shelf.put(checkpoint_codec::encode(&checkpoint(1, "old")))),
            _ => {}
        }
        fate
    }
}

impl CheckpointStore for Race {
    fn read(&self) -> BoxFuture<'_, Result<Option<StoredCheckpoint>, CheckpointStoreError>> {
        let fate = self.step();
        let found = self.shelf.now();
        Box::pin(async move {
            match fate {
                Fate::Answered => Ok(found),
                Fate::RequestLost | Fate::AnswerLost => Err(CheckpointStoreError::Failed(BackendError::new("lost"))),
            }
        })
    }

    fn write<'a>(
        &'a self,
        bytes: &'a [u8],
        over: Option<&'a Version>,
    ) -> BoxFuture<'a, Result<Version, CheckpointStoreError>> {
        let fate = self.step();
        let lost = || Err(CheckpointStoreError::Failed(BackendError::new("lost")));
        let answer = if fate == Fate::RequestLost {
            lost()
        } else {
            let before = self.shelf.now().and_then(|stored| stored.content);
            let answer = self.shelf.replace(bytes, over);
            if answer.is_ok() && before != *self.decided.lock().unwrap() {
                let complaint = format!("replaced {before:?}");
                self.violations.lock().unwrap().push(complaint);
            }
            if fate == Fate::AnswerLost { lost() } else { answer }
        };
        Box::pin(async { answer })
    }
}

/// Reads and takes over until it owns the run, as the aggregator does.
async fn take_over(race: &Race) -> Checkpoint {
    for number in 0.. {
        let found = loop {
            match race.read().await {
                Ok(found) => break found,
                Err(_) => sleep(MIN_PAUSE).await,
            }
        };
        let content = found.as_ref().and_then(|found| found.content.clone());
        let mut mine = match &content {
            Some(bytes) => checkpoint_codec::decode(bytes).unwrap(),
            None => checkpoint(0, ""),
        };
        (mine.epoch, mine.holder) = (mine.epoch + 1, format!("me{number}"));
        *race.decided.lock().unwrap() = content;
        let over = found.map(|found| found.version);
        if write_first(race, &mine, over.as_ref()).await.unwrap().is_some() {
            return mine;
        }
    }
    unreachable!("steps end, and then no other writer acts")
}

fn step() -> impl Strategy<Value = (Third, Fate)> {
    let third = prop_oneof![
        3 => Just(Third::Nothing),
        4 => Just(Third::OldWrites),
        1 => Just(Third::AnotherTakesOver),
        1 => Just(Third::Deletes),
        1 => Just(Third::Begins),
    ];
    let fate = prop_oneof![
        3 => Just(Fate::Answered),
        3 => Just(Fate::RequestLost),
        2 => Just(Fate::AnswerLost),
    ];
    (third, fate)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// A takeover replaces exactly the checkpoint that it was decided on, and so loses no fact of any process.
    #[test]
    fn takeover_replaces_only_the_checkpoint_it_was_decided_on(
        begins_with in prop::option::of(0_u16..3),
        steps in prop::collection::vec(step(), 0..24),
    ) {
        let race = Race {
            shelf: Shelf::default(),
            steps: Mutex::new(steps.into()),
            decided: Mutex::default(),
            violations: Mutex::default(),
            others: Mutex::default(),
            facts: Mutex::new(100),
        };
        if let Some(count) = begins_with {
            let mut old = checkpoint(1, "old");
            for number in 0..count {
                old.apply(&fact(number));
            }
            race.shelf.put(checkpoint_codec::encode(&old));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let mine = runtime.block_on(take_over(&race));
        prop_assert_eq!(race.violations.lock().unwrap().clone(), Vec::<String>::new());
        if let Some(there) = race.shelf.now().and_then(|stored| stored.content) {
            // A later owner has all facts of this one.
            prop_assert!(facts(&there) >= facts(&checkpoint_codec::encode(&mine)) || checkpoint_codec::decode(&there).unwrap().epoch == 1);
        }
    }
}
