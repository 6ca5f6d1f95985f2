//! What touches files does so on a thread: a file may lie on a mount that does not answer.

use super::{Source, assert_none, sources};

/// Rooms whose code runs on the agent's one thread.
const ON_ONE_THREAD: &[&str] = &["agent", "server", "runtime", "probe"];
/// What touches files, which may lie on a mount that does not answer.
const TOUCHES: &[&str] = &[
    "fs::",
    "nix::fcntl",
    "nix::mount",
    "spawn_blocking(",
    "files::create(",
    "files::hold(",
    "files::open",
    "files::read",
    "files::trust",
    ".try_exists()",
    ".exists()",
    ".is_dir()",
    ".is_file()",
    ".canonicalize()",
    ".symlink_metadata()",
];
/// Where that is right: on a thread of `blocking`, or where nothing can hang.
const MAY_TOUCH: &[(&str, &str)] = &[
    ("agent/hooks.rs", "on the lane of the pod's files"),
    ("agent/host.rs", "systemd's directory, in memory"),
    ("agent/settings.rs", "the kernel's"),
    ("runtime/cgroup.rs", "the kernel's"),
    ("runtime/cgroup/above.rs", "the kernel's"),
    ("runtime/cni.rs", "on the lane of the notes of pod networks"),
    (
        "runtime/cni/configured.rs",
        "on the lane of the configurations of pod networks",
    ),
    (
        "runtime/cni/leases.rs",
        "on the lane of the notes of pod networks",
    ),
    ("runtime/files.rs", "on the lane of the pod's files"),
    ("runtime/files/beneath.rs", "on the lane of the pod's files"),
    (
        "runtime/files/env_file.rs",
        "on the lane of the pod's files",
    ),
    (
        "runtime/files/resolver.rs",
        "on the lane of the pod's files, or of the node's facts",
    ),
    ("runtime/files/steps.rs", "on the lane of the pod's files"),
    ("runtime/files/subpath.rs", "on the lane of the pod's files"),
    ("runtime/image/node.rs", "on a lane of the file's own"),
    ("runtime/image/provider.rs", "on a lane of the file's own"),
    ("runtime/links.rs", "on the lane of the container's log"),
    ("runtime/log/pieces.rs", "on the lane of the log"),
    ("runtime/log/rotated.rs", "on the lane of the log"),
    ("runtime/log/rotation.rs", "on the lanes of logs"),
    ("runtime/log/tail.rs", "on the lane of the log"),
    ("runtime/log.rs", "on the lane of the log"),
    (
        "runtime/observe/termination.rs",
        "on the lane of the container's message",
    ),
    (
        "runtime/preload/archives.rs",
        "on the lane of image archives",
    ),
    ("runtime/preload/import.rs", "on the lane of the archive"),
    ("runtime/preload/members.rs", "a kind, no file"),
    ("runtime/preload/packing.rs", "on the lane of the archive"),
    ("runtime/preload/read.rs", "on the lane of the archive"),
    ("runtime/preload/watch.rs", "on the lane of image archives"),
    ("runtime/slices.rs", "systemd's directory, in memory"),
    (
        "server/socket.rs",
        "at the start, before anything else is done",
    ),
];

#[test]
fn files_are_touched_on_threads() {
    let mut complaints = Vec::new();
    let mut touching = Vec::new();
    let on_one_thread = |source: &&Source| ON_ONE_THREAD.contains(&source.module());
    for source in sources()
        .iter()
        .filter(on_one_thread)
        .filter(|s| !s.is_test())
    {
        let code = source.code.to_string().replace(' ', "");
        let Some(word) = TOUCHES.iter().find(|word| code.contains(**word)) else {
            continue;
        };
        touching.push(source.path.clone());
        if !MAY_TOUCH.iter().any(|(path, _)| *path == source.path) {
            complaints.push(format!(
                "src/{}: {word} may wait for a mount that does not answer; do it in a lane of \
                 crate::blocking and say so in MAY_TOUCH",
                source.path
            ));
        }
    }
    let stale = MAY_TOUCH
        .iter()
        .filter(|(path, _)| !touching.iter().any(|touching| touching == path));
    complaints.extend(stale.map(|(path, _)| format!("src/{path}: touches no file any more")));
    assert_none(&complaints);
}
