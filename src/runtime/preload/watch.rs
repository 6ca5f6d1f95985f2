//! Events that the images directory changed, also when it is replaced or made later: it is watched with
//! every directory above it, and watched anew when one of them is another than before.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::debug;

use super::archives::is_ignored;

/// Watches that stand, and what they stand on: each directory with its device and inode.
#[derive(Debug)]
pub(super) struct Watches {
    _watcher: Option<RecommendedWatcher>,
    on: Vec<(PathBuf, Option<(u64, u64)>)>,
}

/// The watches from before where they still stand on the same, and new ones otherwise. Blocks.
pub(super) fn watch(
    directory: &Path,
    before: Option<Watches>,
    changed: &mpsc::Sender<()>,
) -> Watches {
    let on = directories(directory);
    if let Some(before) = before
        && before.on == on
    {
        return before;
    }
    let watched: Vec<PathBuf> = on.iter().map(|(path, _)| path.clone()).collect();
    let mut ends = vec![directory.to_owned()];
    ends.extend(std::fs::canonicalize(directory));
    let changed = changed.clone();
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading the archives is an event, too.
        if event
            .is_ok_and(|event| !event.kind.is_access() && concerns(&event.paths, &watched, &ends))
        {
            changed.try_send(()).ok();
        }
    });
    let mut watcher = match watcher {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            debug!(%error, "new image archives are seen at rescans only");
            None
        }
    };
    let there = on.iter().filter(|(_, identity)| identity.is_some());
    for (path, _) in there {
        let watched = watcher
            .as_mut()
            .map(|w| w.watch(path, RecursiveMode::NonRecursive));
        if let Some(Err(error)) = watched {
            debug!(%error, path = %path.display(), "it is not watched");
        }
    }
    Watches {
        _watcher: watcher,
        on,
    }
}

/// Waits until no change came for `quiet`, and no longer than `longest` whatever comes.
pub(super) async fn rest(changes: &mut mpsc::Receiver<()>, quiet: Duration, longest: Duration) {
    let all = async { while let Ok(Some(())) = timeout(quiet, changes.recv()).await {} };
    timeout(longest, all).await.ok();
}

/// The directory and those above it, by the path it is given by and by that without links.
fn directories(directory: &Path) -> Vec<(PathBuf, Option<(u64, u64)>)> {
    let real = std::fs::canonicalize(directory).ok();
    let mut seen = BTreeSet::new();
    let paths = directory
        .ancestors()
        .chain(real.iter().flat_map(|real| real.ancestors()))
        .filter(|path| seen.insert(path.to_path_buf()));
    let identity = |path: &Path| std::fs::metadata(path).ok().map(|m| (m.dev(), m.ino()));
    paths
        .map(|path| (path.to_owned(), identity(path)))
        .collect()
}

/// Whether an event is about the directory, an archive in it, or what it is in: what lies beside those,
/// and files in it that are left alone, concern nobody.
fn concerns(paths: &[PathBuf], watched: &[PathBuf], ends: &[PathBuf]) -> bool {
    let is_left_alone = |path: &Path| {
        path.file_name()
            .is_some_and(|n| is_ignored(&n.to_string_lossy()))
    };
    let is_in =
        |path: &PathBuf| ends.iter().any(|end| path.parent() == Some(end)) && !is_left_alone(path);
    paths
        .iter()
        .any(|path| watched.contains(path) || is_in(path))
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir_all, remove_dir_all, rename};
    use std::time::Duration;

    use super::*;

    /// Waits for an event, watches anew as every look does, and waits until no more come.
    fn heard(
        directory: &Path,
        watches: &mut Option<Watches>,
        changed: &mpsc::Sender<()>,
        changes: &mut mpsc::Receiver<()>,
    ) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            let first = tokio::time::timeout(Duration::from_secs(20), changes.recv()).await;
            loop {
                *watches = Some(watch(directory, watches.take(), changed));
                let more = tokio::time::timeout(Duration::from_millis(200), changes.recv());
                if more.await.is_err() {
                    return first.is_ok();
                }
            }
        })
    }

    #[test]
    fn a_directory_is_watched_that_is_made_later_replaced_or_linked_to() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().canonicalize().unwrap();
        let directory = base.join("state/images");
        let (changed, mut changes) = mpsc::channel(1);
        let mut watches = Some(watch(&directory, None, &changed));
        let put = |name: &str| drop(std::fs::File::create(directory.join(name)).unwrap());
        let mut heard = |what: &str| {
            let heard = heard(&directory, &mut watches, &changed, &mut changes);
            assert!(heard, "{what}");
        };
        create_dir_all(&directory).unwrap();
        heard("it is made");
        put("a");
        heard("a file comes");
        rename(&directory, base.join("old")).unwrap();
        heard("it goes away");
        create_dir_all(&directory).unwrap();
        heard("it is remade");
        put("b");
        heard("a file comes into the other one");
        rename(base.join("state"), base.join("older")).unwrap();
        create_dir_all(&directory).unwrap();
        heard("what it is in is replaced");
        put("c");
        heard("a file comes into the third one");
        remove_dir_all(&directory).unwrap();
        std::os::unix::fs::symlink(base.join("old"), &directory).unwrap();
        heard("it is a link now");
        put("d");
        heard("a file comes where the link leads");
    }

    #[test]
    fn files_beside_the_directory_concern_nobody() {
        let paths = |paths: &[&str]| -> Vec<PathBuf> { paths.iter().map(PathBuf::from).collect() };
        let watched = paths(&["/s/images", "/s", "/", "/d/real", "/d"]);
        let ends = paths(&["/s/images", "/d/real"]);
        for (path, concerned) in [
            ("/s/images", true),
            ("/s/images/a.tar", true),
            ("/s/images/a.tar.part", false),
            ("/s/images/a.tar.tmp", false),
            ("/s/images/a.tar~", false),
            ("/s/images/.a.tar.x7Qd", false),
            ("/d/real/a.tar", true),
            ("/s", true),
            ("/s/pods", false),
            ("/s/images/a/b", false),
        ] {
            assert_eq!(
                concerns(&paths(&[path]), &watched, &ends),
                concerned,
                "{path}"
            );
        }
        // Renamed to its name when it is whole.
        let renamed = paths(&["/s/images/a.tar.part", "/s/images/a.tar"]);
        assert!(concerns(&renamed, &watched, &ends));
    }
    #[tokio::test]
    async fn changes_without_end_are_not_waited_out() {
        let (changed, mut changes) = mpsc::channel(1);
        let goes_on = async {
            while changed.send(()).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        let quiet = Duration::from_secs(60);
        tokio::select! {
            () = rest(&mut changes, quiet, Duration::from_millis(20)) => {}
            () = goes_on => panic!("changes are taken no more"),
            () = tokio::time::sleep(Duration::from_secs(20)) => panic!("it waits for ever"),
        }
    }

    #[tokio::test]
    async fn what_comes_to_rest_is_waited_for() {
        let (changed, mut changes) = mpsc::channel(1);
        changed.send(()).await.unwrap();
        rest(
            &mut changes,
            Duration::from_millis(20),
            Duration::from_secs(60),
        )
        .await;
        assert!(changes.is_empty(), "the change was taken");
    }
}
