//! The run as a pure state machine: which results are expected, which plugins run when, what has come in, when it is
//! over. It is given events and the time, and answers with effects; it knows no socket, file, task or clock.

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
pub use record::{Begun, NotRecorded, Planned, Record, SmallBody};
