//! The time as an argument.

use std::sync::Arc;

use jiff::Timestamp;

/// Tells the time. Tests give their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The machine's clock.
pub fn system_clock() -> Clock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the clock comes in")]
    Arc::new(Timestamp::now)
}
