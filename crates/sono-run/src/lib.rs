//! The state machines of a run: [`Startup`] until this process owns it, then [`Run`] with its expected results, order groups, time
//! limits, and the end. They receive events and the time, and return effects; they have no sockets, files, tasks or clock.

mod checkpoint;
mod event;
mod late_targets;
mod ledger;
mod machine;
mod progress;
mod record;
mod recover;
mod start;
mod status;

pub use checkpoint::{Change, Checkpoint, CheckpointError, CheckpointPhase};
pub use event::{Effect, Event, Failure, PluginPlan, ResultSummary, RunPolicy};
pub use ledger::{CommitDecision, Refusal, Stored, Ticket, UploadOutcome};
pub use machine::{LeftOutNodes, Phase, ResultState, Run};
pub use progress::Progress;
pub use record::{JOURNAL_VERSION, NotRecorded, Planned, Record, RunStart, SmallBody};
pub use start::{ARCHIVE_LOST, OwnedRun, StartEffect, StartError, StartEvent, StartNotice, StartSettings, Startup};
