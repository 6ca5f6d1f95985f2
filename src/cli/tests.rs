//! Tests of commands against a served view.
