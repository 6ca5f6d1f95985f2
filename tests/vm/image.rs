//! Images of machines, kept by what they are made of.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::machine::run;

/// Where the parts of an image are described.
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vm");

/// An image of a machine.
#[derive(Debug, Clone)]
pub struct Image {
    dir: PathBuf,
}

impl Image {
    /// The image of a Debian suite; made where it is not kept yet.
    pub fn of(suite: &str) -> Self {
        let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/vm");
        let dir = cache.join(format!("{suite}-{}", parts()));
        run(Command::new(Path::new(HERE).join("image.sh"))
            .arg(suite)
            .arg(&dir));
        Self { dir }
    }

    /// Its disk, which is only read: a machine writes to a layer of its own above it.
    pub fn disk(&self) -> PathBuf {
        self.dir.join("disk")
    }

    /// Its kernel.
    pub fn kernel(&self) -> PathBuf {
        self.dir.join("vmlinuz")
    }

    /// Its initial RAM disk.
    pub fn initrd(&self) -> PathBuf {
        self.dir.join("initrd")
    }
}

/// A hash of everything that images are made of, but for Debian's packages.
fn parts() -> String {
    let mut files = vec![
        PathBuf::from(HERE).join("image.sh"),
        PathBuf::from(HERE).join("../node/busybox-image.sh"),
    ];
    let guest = fs::read_dir(Path::new(HERE).join("guest")).expect("tests/vm/guest");
    files.extend(guest.flatten().map(|entry| entry.path()));
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.to_string_lossy().as_bytes());
        hash.update(fs::read(&file).expect("a part of the image"));
    }
    hash.finalize()
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
