//! The manifests directory on a real filesystem.
