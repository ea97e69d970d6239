//! Tests of the test kit.

mod corpus;
