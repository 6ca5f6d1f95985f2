//! Environment variables whose values stand in a file of a volume (`fileKeyRef`).
//!
//! Follows kubelet v1.36's `env` file syntax: `NAME='value'`, values only in single quotes and
//! over several lines where need be, `#` comments.

use std::io;

use k8s_openapi::api::core::v1::Container;

use super::{FileKeys, beneath};
use crate::blocking::Progress;
use crate::files;
use crate::model::{DesiredPod, Reason, VolumePaths};

/// The longest file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// Every value the container's environment takes from files.
pub(super) fn values(
    pod: &DesiredPod,
    container: &Container,
    volumes: &VolumePaths,
    progress: &Progress,
) -> Result<FileKeys, Reason> {
    let mut values = FileKeys::new();
    let sources = container.env.iter().flatten();
    for key in sources.filter_map(|env| env.value_from.as_ref()?.file_key_ref.as_ref()) {
        let refused = |message: String| {
            Reason::new("CreateContainerConfigError", message).of_container(&container.name)
        };
        let optional = key.optional == Some(true);
        let Some(volume) = volumes.get(&key.volume_name) else {
            let pod = &pod.key().name;
            let message = format!(
                "cannot find the volume \"{}\" of pod {pod}",
                key.volume_name
            );
            return Err(refused(message));
        };
        let begun = progress.begin(format!("{} ({})", key.path, volume.display()));
        let text = match begun
            .map_err(Into::into)
            .and_then(|()| read(volume, &key.path))
        {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound && optional => continue,
            Err(e) => return Err(refused(format!("cannot read {}: {e}", key.path))),
        };
        let Some(pairs) = parse(&text) else {
            return Err(refused("couldn't parse env file".to_owned()));
        };
        match pairs.into_iter().rev().find(|(name, _)| *name == key.key) {
            Some((_, value)) => {
                let id = (key.volume_name.clone(), key.path.clone(), key.key.clone());
                values.insert(id, value.into_bytes());
            }
            None if optional => {}
            None => {
                let message = format!("environment variable key \"{}\" not found in file", key.key);
                return Err(refused(message));
            }
        }
    }
    Ok(values)
}

fn read(volume: &std::path::Path, path: &str) -> io::Result<String> {
    let found = beneath::open_existing(volume, path)?;
    let mut file = files::open_found(&found)?;
    files::text(files::read_all(&mut file, MAX_BYTES)?)
}

/// The pairs of a file; none where it is not of that syntax.
fn parse(text: &str) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Some(pairs);
        }
        if rest.starts_with('#') {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
            continue;
        }
        let (name, after) = rest.split_once('=')?;
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '\'') {
            return None;
        }
        let (value, after) = after.strip_prefix('\'')?.split_once('\'')?;
        let (end, after) = after.split_once('\n').unwrap_or((after, ""));
        let end = end.trim_start();
        if !(end.is_empty() || end.starts_with('#')) {
            return None;
        }
        pairs.push((name.to_owned(), value.to_owned()));
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_that_never_answers_or_ends_is_refused_by_what_it_is() {
        let volume = tempfile::tempdir().expect("a directory");
        let at = |name: &str| volume.path().join(name);
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        let large = std::fs::File::create(at("large")).expect("a file");
        large.set_len(1 << 40).expect("sparse");
        std::fs::File::create(at("good"))
            .and_then(|mut file| file.write_all(b"K='v'\n"))
            .expect("a file");
        let why = |name: &str| read(volume.path(), name).expect_err(name).to_string();
        assert_eq!(why("fifo"), "it is a FIFO, not a regular file");
        assert_eq!(
            why("large"),
            "it is larger than 1048576 bytes, the most that is read"
        );
        assert_eq!(read(volume.path(), "good").expect("read"), "K='v'\n");
    }

    #[test]
    fn only_single_quotes_hold_values() {
        let pairs = parse("# c\nK='from file'\nL='a\nb' # x\n").expect("valid");
        assert_eq!(pairs[0], ("K".to_owned(), "from file".to_owned()));
        assert_eq!(pairs[1].1, "a\nb");
        assert!(parse("K=fromfile\n").is_none());
    }
}
