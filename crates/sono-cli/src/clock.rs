//! The machine's clock.

use jiff::Timestamp;

/// Now.
pub(crate) fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the one place where the clock comes in")]
    Timestamp::now()
}
