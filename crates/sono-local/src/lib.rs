//! The aggregator and the worker in one process, plugins as local processes.
