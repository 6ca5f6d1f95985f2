//! Whether there is a network's configuration that the runtime did not take up.
//!
//! containerd watches the directory of its CNI configurations from its start on. A directory that was
//! renamed or made anew since is not watched (1.6 and 1.7, `cni_conf_syncer.go`): what comes into the
//! new one is read after a restart only.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::blocking::{Lane, Progress};
use crate::files::{self, Links};
use crate::runtime::{Runtime, cni::told};

/// A runtime that watches takes a configuration up much sooner.
const TAKEN_UP: Duration = Duration::from_secs(10);

impl Runtime {
    /// A valid configuration that has been there for long, while the runtime says that it has no
    /// network; none where that cannot be found out.
    pub(in crate::runtime) async fn unheeded_configuration(&self) -> Option<PathBuf> {
        let info = self.inner.client.info().await.ok()?;
        let directory = told::configurations(&info)?;
        let lane = Lane::own("the configurations of pod networks");
        let now = crate::clock::wall().as_second();
        let find = move |on: &Progress| find(&directory, now, on);
        self.inner.blocking.run(lane, find).await.ok()?.ok()?
    }
}

/// The first valid configuration by name that was not changed for long.
fn find(directory: &Path, now: i64, on: &Progress) -> io::Result<Option<PathBuf>> {
    on.begin(directory.display().to_string())?;
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        on.step()?;
        let path = entry?.path();
        let kind = path.extension().and_then(|kind| kind.to_str());
        if let Some(kind @ ("conf" | "conflist" | "json")) = kind
            && is_valid(&path, kind)
            && is_old(&path, now)
        {
            found.push(path);
        }
    }
    Ok(found.into_iter().min())
}

/// Whether a file has been what and where it is for long. Renaming counts as a change.
fn is_old(path: &Path, now: i64) -> bool {
    let taken_up = i64::try_from(TAKEN_UP.as_secs()).unwrap_or(i64::MAX);
    path.symlink_metadata()
        .is_ok_and(|found| now.saturating_sub(found.ctime()) > taken_up)
}

/// Whether libcni would take a file for a network's configuration.
fn is_valid(path: &Path, kind: &str) -> bool {
    let text = files::open(path, Links::Follow)
        .and_then(|mut file| files::read_all(&mut file, files::CONFIGURATION));
    let read = text
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    let read: Value = read.unwrap_or_default();
    let is_plugin = |plugin: &Value| plugin["type"].as_str().is_some_and(|name| !name.is_empty());
    let is_named = read["name"].as_str().is_some_and(|name| !name.is_empty());
    is_named
        && match kind {
            "conflist" => read["plugins"]
                .as_array()
                .is_some_and(|all| !all.is_empty() && all.iter().all(is_plugin)),
            _ => is_plugin(&read),
        }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn only_what_is_valid_and_was_there_for_long_is_found() {
        let directory = tempfile::tempdir().expect("a directory");
        let on = Progress::default();
        let put = |name: &str, text: &str| {
            let mut file = fs::File::create(directory.path().join(name)).expect("a file");
            file.write_all(text.as_bytes()).expect("written");
        };
        let now = crate::clock::wall().as_second();
        let find = |now| find(directory.path(), now, &on).expect("looked at");
        put("10-a.conflist", "");
        put("11-b.conflist", r#"{"name": "b", "plugins": []}"#);
        put("12-c.conflist", r#"{"plugins": [{"type": "bridge"}]}"#);
        put("13-d.txt", r#"{"name": "d", "type": "bridge"}"#);
        put("14-e.conf", r#"{"name": "e"}"#);
        assert_eq!(find(now + 60), None);
        put(
            "20-f.conflist",
            r#"{"name": "f", "plugins": [{"type": "bridge"}]}"#,
        );
        put("30-g.conf", r#"{"name": "g", "type": "bridge"}"#);
        assert_eq!(find(now), None, "the runtime may be about to take it up");
        let name = find(now + 60).expect("found");
        assert_eq!(name, directory.path().join("20-f.conflist"));
    }
}
