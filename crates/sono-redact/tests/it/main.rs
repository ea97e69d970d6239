//! The engine as its callers use it.

mod bad_input;
mod borders;
mod false_positives;
mod places;
mod planted;
mod speed;
