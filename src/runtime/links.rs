//! The links in `/var/log/containers` that log shippers look for, and the removal of logs with them.
//!
//! Named as kubelet names them (pkg/kubelet/kuberuntime/legacy.go): `POD_NAMESPACE_CONTAINER-ID.log`,
//! cut to 255 bytes. Removes nothing outside the directories it was given.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path};

use super::translate::labels;
use crate::blocking::Progress;

const SUFFIX: &str = ".log";
const MAX_NAME_BYTES: usize = 255;
/// How often a log's files are looked for while there still are some.
const LOOKS: usize = 4;

/// The name of the link to a container's log, from the labels and the id of the container.
pub(super) fn name(labels: &HashMap<String, String>, id: &str) -> Option<String> {
    let pod = labels.get(labels::POD_NAME)?;
    let namespace = labels.get(labels::POD_NAMESPACE)?;
    let container = labels.get(labels::CONTAINER_NAME)?;
    let mut name = format!("{pod}_{namespace}_{container}-{id}");
    // All of it is ASCII: names are DNS labels, ids hexadecimal.
    while name.len() > MAX_NAME_BYTES - SUFFIX.len() {
        name.pop();
    }
    Some(name + SUFFIX).filter(|name| !name.contains('/'))
}

/// Makes the link, and its directory where that is missing; one that is there stays. Leaves none once
/// it was asked to stop.
pub(super) fn make(link: &Path, log: &Path, on: &Progress) -> io::Result<()> {
    on.begin(link.display().to_string())?;
    if let Some(directory) = link.parent() {
        fs::create_dir_all(directory)?;
    }
    match symlink(log, link) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    }
    // The pod may have been taken away meanwhile.
    on.step()
        .or_else(|stopped| remove(link).and(Err(stopped.into())))
}

/// Removes a container's log with its rotated files.
pub(super) fn remove_log(log: &Path, pod_logs: &Path, on: &Progress) -> io::Result<()> {
    let plain = log.components().all(|c| c != Component::ParentDir);
    if !log.starts_with(pod_logs) || !plain {
        return Ok(());
    }
    let (Some(directory), Some(name)) = (log.parent(), log.file_name()) else {
        return Ok(());
    };
    // A file that is being compressed may get its new name while the old one is removed.
    for _ in 0..LOOKS {
        if remove_of(directory, name, on)? == 0 {
            break;
        }
    }
    Ok(())
}

/// Removes the files of a log and says how many there were.
fn remove_of(directory: &Path, log: &OsStr, on: &Progress) -> io::Result<usize> {
    on.begin(directory.display().to_string())?;
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut count = 0;
    for entry in entries {
        let entry = entry?;
        if is_of(&entry.file_name(), log) {
            on.step()?;
            remove(&entry.path())?;
            count += 1;
        }
    }
    Ok(count)
}

/// `0.log` and `0.log.20260101-000000.gz`, not `10.log`.
fn is_of(entry: &OsStr, log: &OsStr) -> bool {
    let rest = entry
        .as_encoded_bytes()
        .strip_prefix(log.as_encoded_bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"."))
}

/// Removes a file or link; one that is not there is gone already.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_named_as_kubelets_and_cut_to_what_a_file_name_holds() {
        let labels = [
            (labels::POD_NAME, "a-x2x2x"),
            (labels::POD_NAMESPACE, "default"),
            (labels::CONTAINER_NAME, "main"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
        let name = |id: &str| super::name(&labels, id).unwrap();
        assert_eq!(name("0a1b"), "a-x2x2x_default_main-0a1b.log");
        let long = name(&"0".repeat(300));
        assert_eq!(long.len(), 255);
        assert!(long.ends_with("0.log"));
        assert_eq!(super::name(&HashMap::new(), "0a1b"), None);
    }

    #[test]
    fn links_are_made_twice_without_harm() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("containers/a.log");
        for _ in 0..2 {
            make(&link, Path::new("/nowhere/0.log"), &Progress::default()).unwrap();
        }
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("/nowhere/0.log"));
        remove(&link).unwrap();
        remove(&link).unwrap();
    }

    #[test]
    fn a_log_goes_with_its_rotated_files_only_and_only_below_the_logs_directory() {
        let dir = tempfile::tempdir().unwrap();
        let (logs, on) = (dir.path().join("pods"), Progress::default());
        let container = logs.join("default_a_u/main");
        fs::create_dir_all(&container).unwrap();
        let names = || -> Vec<String> {
            let mut names: Vec<_> = fs::read_dir(&container)
                .unwrap()
                .map(|e| e.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        for name in ["0.log", "0.log.20260101-000000.gz", "10.log", "0.logs"] {
            fs::File::create(container.join(name)).unwrap();
        }
        remove_log(&container.join("0.log"), &dir.path().join("other"), &on).unwrap();
        assert_eq!(names().len(), 4);
        remove_log(&container.join("0.log"), &logs, &on).unwrap();
        assert_eq!(names(), ["0.logs", "10.log"]);
        remove_log(&logs.join("default_b_u/main/0.log"), &logs, &on).unwrap();
    }
}
