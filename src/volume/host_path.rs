//! hostPath: a path of the host, checked to be what its type says, made where the type says so.
//!
//! Follows kubelet v1.36's `host_path` plugin. Of a path without a type anything is right: what is
//! missing there is made by the runtime.

use std::fs::{DirBuilder, Metadata, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::path::PathBuf;

use k8s_openapi::api::core::v1::HostPathVolumeSource;

use super::Error;

/// Checks a host path and gives it.
pub(super) fn prepare(volume: &str, source: &HostPathVolumeSource) -> Result<PathBuf, Error> {
    let path = PathBuf::from(&source.path);
    let exists = path.symlink_metadata().is_ok();
    let (is, wanted): (fn(&Metadata) -> bool, _) = match source.type_.as_deref() {
        None | Some("") => {
            // Whatever it says, but it must answer: the runtime would hang in it, and could not say
            // of which volume.
            drop(path.metadata());
            return Ok(path);
        }
        Some("DirectoryOrCreate") => {
            if !exists {
                let mut builder = DirBuilder::new();
                builder.recursive(true).mode(0o755);
                builder
                    .create(&path)
                    .map_err(Error::io(volume, "mkdir", &path))?;
            }
            (Metadata::is_dir, "directory")
        }
        Some("Directory") => (Metadata::is_dir, "directory"),
        Some("FileOrCreate") => {
            if !exists {
                let mut options = OpenOptions::new();
                options.write(true).create(true).truncate(false).mode(0o644);
                options
                    .open(&path)
                    .map_err(Error::io(volume, "open", &path))?;
            }
            (Metadata::is_file, "file")
        }
        Some("File") => (Metadata::is_file, "file"),
        Some("Socket") => (|m| m.file_type().is_socket(), "socket file"),
        Some("CharDevice") => (|m| m.file_type().is_char_device(), "character device"),
        Some("BlockDevice") => (|m| m.file_type().is_block_device(), "block device"),
        Some(other) => {
            return Err(Error::Unsupported {
                volume: volume.to_owned(),
                what: format!("hostPath type {other}"),
            });
        }
    };
    match path.metadata() {
        Ok(found) if is(&found) => Ok(path),
        _ => Err(Error::HostPathType {
            volume: volume.to_owned(),
            path,
            wanted,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_checked_with_kubelets_words() {
        let root = tempfile::tempdir().expect("a directory");
        let try_type = |name: &str, type_: &str| {
            let source = HostPathVolumeSource {
                path: root.path().join(name).to_string_lossy().into_owned(),
                type_: Some(type_.to_owned()),
            };
            prepare("v", &source).map_err(|e| e.reason().message)
        };
        assert!(try_type("missing", "").is_ok());
        assert!(!root.path().join("missing").exists());
        assert!(try_type("a/b", "DirectoryOrCreate").is_ok());
        assert!(try_type("f", "FileOrCreate").is_ok());
        assert!(try_type("f", "File").is_ok());
        for (name, type_, what) in [
            ("f", "Directory", "is not a directory"),
            ("missing", "Directory", "is not a directory"),
            ("missing", "File", "is not a file"),
            ("f", "Socket", "is not a socket file"),
            ("f", "CharDevice", "is not a character device"),
            ("f", "BlockDevice", "is not a block device"),
            ("no/parent", "FileOrCreate", "No such file or directory"),
        ] {
            let message = try_type(name, type_).expect_err("refused");
            assert!(message.contains(what), "{message}");
        }
    }
}
