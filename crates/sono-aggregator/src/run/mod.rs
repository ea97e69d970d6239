//! The run as a pure state machine: which results are expected, which plugins run when, what has come in, when it is
//! over. It is given events and the time, and answers with effects; it knows no socket, file, task or clock.

mod ledger;
mod machine;

pub use ledger::{Claim, Outcome, Refusal, Ticket};
pub use machine::{Effect, Event, Failure, Plan, Run};
