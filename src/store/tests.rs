//! The store on a real directory.
