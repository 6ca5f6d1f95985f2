//! Writes the man pages and the default configuration of the packages:
//!
//! ```text
//! cargo run --example reference -- DIRECTORY
//! ```
//!
//! A program of its own, so that the shipped one holds nothing of it.

#![expect(clippy::disallowed_methods, reason = "nothing depends on half a page")]

mod configuration;
mod fields;
mod pages;

use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;

fn main() -> io::Result<()> {
    let Some(directory) = env::args_os().nth(1).map(PathBuf::from) else {
        return Err(io::Error::other("which directory to write to?"));
    };
    fs::create_dir_all(&directory)?;
    let structs = fields::read();
    fs::write(directory.join("config.yaml"), configuration::file(&structs))?;
    pages::write(&directory, &configuration::entries(&structs))
}
