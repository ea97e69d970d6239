//! Result files to result items, roll-up and report views.
