//! The state machine of a run: expected results, order groups, time limits, and the end. It receives events and the time, and
//! returns effects; it has no sockets, files, tasks or clock.

mod checkpoint;
mod event;
mod late_targets;
mod ledger;
mod machine;
mod progress;
mod record;
mod recover;
mod status;

pub use checkpoint::{Change, Checkpoint, CheckpointError, CheckpointPhase};
pub use event::{Effect, Event, Failure, PluginPlan, ResultSummary, RunPolicy};
pub use ledger::{CommitDecision, Refusal, Stored, Ticket, UploadOutcome};
pub use machine::{LeftOutNodes, Phase, ResultState, Run};
pub use progress::Progress;
pub use record::{NotRecorded, Planned, Record, RunStart, SmallBody};
