//! Whole configurations, from text and from directories.
