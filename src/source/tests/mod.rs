//! The manifests directory: merging as a function, and watching on a real filesystem.

mod disk;
mod many;
mod merging;
mod restart;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::model::{Refused, Snapshot};

/// A DaemonSet whose container has this image.
fn set(name: &str, image: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers: [{{name: main, image: \"{image}\"}}]
"
    )
}

/// A ConfigMap with one value.
fn config_map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: \"{value}\"}}\n"
    )
}

/// Keeps last good objects in memory; outlives the agent that uses it.
#[derive(Debug, Clone, Default)]
struct Memory(Arc<Mutex<BTreeMap<String, KeptObjects>>>, Arc<Fails>);

/// Whether keeping fails, and how often it did.
#[derive(Debug, Default)]
struct Fails {
    now: AtomicBool,
    times: AtomicUsize,
}

impl LastGood for Memory {
    fn load(&self, file: &str) -> Result<KeptObjects, KeepError> {
        let kept = self.0.lock().expect("not poisoned");
        Ok(kept.get(file).cloned().unwrap_or_default())
    }

    fn kept(&self) -> Result<Vec<String>, KeepError> {
        let kept = self.0.lock().expect("not poisoned");
        Ok(kept.keys().cloned().collect())
    }

    fn keep(
        &self,
        files: &mut dyn Iterator<Item = (String, KeptObjects)>,
    ) -> Result<(), KeepError> {
        if self.1.now.load(Ordering::Relaxed) {
            self.1.times.fetch_add(1, Ordering::Relaxed);
            return Err("no space left on device".into());
        }
        let mut kept = self.0.lock().expect("not poisoned");
        for (file, objects) in files {
            if objects.is_empty() {
                kept.remove(&file);
            } else {
                kept.insert(file, objects);
            }
        }
        Ok(())
    }

    fn retain(&self, files: &mut dyn Iterator<Item = &str>) -> Result<(), KeepError> {
        let keep: Vec<&str> = files.collect();
        let mut kept = self.0.lock().expect("not poisoned");
        kept.retain(|file, _| keep.contains(&file.as_str()));
        Ok(())
    }
}

/// A directory that is watched.
struct Watched {
    root: PathBuf,
    _above: tempfile::TempDir,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    rescan: mpsc::Sender<()>,
    settings: watch::Sender<Settings>,
    keeper: Memory,
    cancel: CancellationToken,
    tasks: JoinSet<Result<(), Error>>,
}

/// A directory to watch, writable by its owner only.
fn directory() -> (tempfile::TempDir, PathBuf) {
    let above = tempfile::tempdir().expect("a directory");
    let root = above.path().join("manifests");
    fs::create_dir(&root).expect("a directory");
    chmod(&root, 0o755);
    (above, root)
}

fn watch_it(above: tempfile::TempDir, root: PathBuf, keeper: Memory) -> Watched {
    let (sender, settings) = watch::channel(Settings {
        path: root.clone(),
        rescan_interval: Duration::from_secs(3600),
        writers: Writers::RootOnly,
    });
    let (rescan, rescans) = mpsc::channel(1);
    let (publish, snapshots) = watch::channel(Arc::new(Snapshot::default()));
    let cancel = CancellationToken::new();
    let inputs = Inputs {
        settings,
        rescan: rescans,
        keeper: Box::new(keeper.clone()),
        metrics: SourceMetrics::new(&Metrics::new()),
        blocking: crate::blocking::Blocking::default(),
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(watch_directory(inputs, publish, cancel.clone()));
    Watched {
        root,
        _above: above,
        snapshots,
        rescan,
        settings: sender,
        keeper,
        cancel,
        tasks,
    }
}

impl Watched {
    /// Waits for a snapshot of which something holds.
    async fn until(&mut self, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let wait = self.snapshots.wait_for(|snapshot| holds(snapshot));
        if let Ok(snapshot) = tokio::time::timeout(Duration::from_secs(10), wait).await {
            return snapshot.expect("the task runs").clone();
        }
        let have = self.snapshots.borrow();
        panic!(
            "{what}: have {:?}, refused {:#?}",
            images(&have),
            have.refused
        )
    }

    /// Waits until exactly these sets are there, with their images.
    async fn until_sets(&mut self, want: &[(&str, &str)]) -> Arc<Snapshot> {
        let want: Vec<(String, String)> = want
            .iter()
            .map(|(name, image)| ((*name).to_owned(), (*image).to_owned()))
            .collect();
        let what = format!("{want:?}");
        self.until(&what, |snapshot| {
            snapshot.synced && images(snapshot) == want
        })
        .await
    }

    /// What is there after some time in which nothing should happen.
    async fn after(&mut self, time: Duration) -> Arc<Snapshot> {
        tokio::time::sleep(time).await;
        self.snapshots.borrow_and_update().clone()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Puts a file in place as a careful program does: under another name, then by rename.
    fn rename_in(&self, name: &str, text: &str) {
        rename_in(&self.root, name, text);
    }

    async fn stop(mut self) -> (tempfile::TempDir, PathBuf, Memory) {
        self.cancel.cancel();
        let ended = self.tasks.join_next().await.expect("one task");
        ended.expect("no panic").expect("no error");
        (self._above, self.root, self.keeper)
    }
}

fn rename_in(root: &Path, name: &str, text: &str) {
    let aside = root.with_file_name("aside");
    write(&aside, text);
    fs::rename(aside, root.join(name)).expect("renamed");
}

/// Writes a file in place, in one go.
fn write(path: &Path, text: &str) {
    let mut file = fs::File::create(path).expect("a file");
    file.set_permissions(fs::Permissions::from_mode(0o644))
        .expect("a mode");
    file.write_all(text.as_bytes()).expect("written");
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

/// The sets' names with their first container's image.
fn images(snapshot: &Snapshot) -> Vec<(String, String)> {
    let image = |set: &crate::api::DaemonSet| {
        let container = set.pod_spec().containers.first().cloned();
        container.and_then(|c| c.image).unwrap_or_default()
    };
    snapshot
        .sets
        .iter()
        .map(|(key, (set, _))| (key.name.clone(), image(set)))
        .collect()
}

fn only(refused: &[Refused]) -> &Refused {
    assert_eq!(refused.len(), 1, "{refused:#?}");
    &refused[0]
}
