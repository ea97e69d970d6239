//! Tests of the judge with whole submissions.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod cases;
mod submissions;
