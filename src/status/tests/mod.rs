//! Whole-value tests of the statuses.
