//! The package under test, and others made of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::machine::run;

/// A Debian package.
pub struct Package {
    /// Its version.
    pub version: String,
    /// The file.
    pub bytes: Vec<u8>,
}

impl Package {
    /// The newest that `make deb` has made.
    pub fn built() -> Self {
        let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/package");
        let debs = fs::read_dir(&out)
            .unwrap_or_else(|error| panic!("{}: {error}: make deb", out.display()));
        let debs = debs.flatten().map(|entry| entry.path());
        let mut debs: Vec<PathBuf> = debs
            .filter(|path| path.to_string_lossy().ends_with("_amd64.deb"))
            .collect();
        debs.sort_by_key(|path| fs::metadata(path).and_then(|of| of.modified()).ok());
        Self::read(
            &debs
                .pop()
                .expect("target/package/setlet_VERSION_amd64.deb: make deb"),
        )
    }

    fn read(path: &Path) -> Self {
        let version = run(Command::new("dpkg-deb")
            .arg("--field")
            .arg(path)
            .arg("Version"));
        Self {
            version: version.trim().to_owned(),
            bytes: fs::read(path).expect("the package"),
        }
    }

    /// The same under a later version.
    pub fn later(&self) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (tree, file) = (dir.path().join("tree"), dir.path().join("later.deb"));
        let before = dir.path().join("before.deb");
        fs::write(&before, &self.bytes).expect("the package");
        run(Command::new("dpkg-deb")
            .arg("--raw-extract")
            .arg(&before)
            .arg(&tree));
        let control = tree.join("DEBIAN/control");
        let text = fs::read_to_string(&control).expect("control");
        let version = format!("Version: {}", self.version);
        fs::write(
            &control,
            text.replace(&version, &format!("{version}+later")),
        )
        .expect("control");
        run(Command::new("dpkg-deb")
            .args(["--root-owner-group", "-Znone", "--build"])
            .arg(&tree)
            .arg(&file));
        Self::read(&file)
    }
}
