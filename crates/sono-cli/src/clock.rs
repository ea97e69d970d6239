//! System clock.

use jiff::Timestamp;

/// Current time.
pub(crate) fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the clock")]
    Timestamp::now()
}
