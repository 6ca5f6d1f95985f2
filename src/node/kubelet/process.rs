//! What procfs says of a process, read within bounds: anybody can start a process of any name and
//! arguments.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::files::{self, Links};

/// The most that is read of a process's arguments and of its status, in bytes.
const FACTS: u64 = 64 << 10;
/// The most that is read of a kubelet's configuration.
const CONFIG: u64 = files::CONFIGURATION;

/// Where a process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// On this machine, with the agent's view of the filesystem.
    Here,
    /// On this machine, with a view of its own.
    Apart,
    /// In a container, or not root: no kubelet of this machine.
    Elsewhere,
}

/// A process by its directory in procfs.
pub(super) struct Process<'a> {
    pub(super) proc: &'a Path,
    pub(super) directory: PathBuf,
}

impl Process<'_> {
    /// Its arguments, the program first; `None` for what ended meanwhile and threads of the kernel.
    pub(super) fn arguments(&self) -> Option<Vec<String>> {
        let line = read(&self.directory.join("cmdline"), FACTS)?;
        let arguments = line.split(|byte| *byte == 0).filter(|a| !a.is_empty());
        let arguments: Vec<String> = arguments
            .map(|argument| String::from_utf8_lossy(argument).into_owned())
            .collect();
        (!arguments.is_empty()).then_some(arguments)
    }

    /// Where it lives. What cannot be told is taken for elsewhere: a process of this machine's root
    /// hides nothing from the agent.
    pub(super) fn place(&self) -> Place {
        let same = |other: &str, kind: &str| {
            let theirs = fs::read_link(self.directory.join("ns").join(kind)).ok();
            theirs.is_some()
                && theirs == fs::read_link(self.proc.join(other).join("ns").join(kind)).ok()
        };
        let ours = same("self", "user") && same("self", "pid");
        if !ours || !self.is_root() || self.is_contained() {
            return Place::Elsewhere;
        }
        if same("self", "mnt") && self.has_our_root() {
            Place::Here
        } else {
            Place::Apart
        }
    }

    /// Whether its real and its effective user are root.
    fn is_root(&self) -> bool {
        let status = read(&self.directory.join("status"), FACTS).unwrap_or_default();
        let status = String::from_utf8_lossy(&status);
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        let mut ids = line.unwrap_or_default().split_whitespace();
        (ids.next(), ids.next()) == (Some("0"), Some("0"))
    }

    /// Whether its cgroup is a container's: below the pods', or named by a container's id. What the
    /// agent is in itself does not count.
    fn is_contained(&self) -> bool {
        let cgroup = |directory: &Path| {
            let text = read(&directory.join("cgroup"), FACTS)?;
            Some(String::from_utf8_lossy(&text).into_owned())
        };
        let Some(theirs) = cgroup(&self.directory) else {
            return true;
        };
        let ours = cgroup(&self.proc.join("self")).unwrap_or_default();
        let ours: Vec<&str> = parts(&ours).collect();
        let is_id = |part: &str| part.len() == 64 && part.bytes().all(|b| b.is_ascii_hexdigit());
        let is_container =
            |name: &str| name.starts_with("kubepods") || name.split(['-', '.', ':']).any(is_id);
        parts(&theirs).any(|name| is_container(name) && !ours.contains(&name))
    }

    /// Whether its root directory is the agent's.
    fn has_our_root(&self) -> bool {
        let id = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.dev(), metadata.ino()))
        };
        let theirs = id(&self.directory.join("root"));
        theirs.is_some() && theirs == id(Path::new("/"))
    }

    /// The text of its configuration file.
    ///
    /// # Errors
    /// Why it is not read, in words that follow its name.
    pub(super) fn config(&self, path: &str) -> Result<String, String> {
        let path = match Path::new(path).is_absolute() {
            true => PathBuf::from(path),
            false => self.directory.join("cwd").join(path),
        };
        files::read_text(&path, CONFIG).map_err(|error| format!("cannot be read: {error}"))
    }
}

/// The names in the paths of a process's cgroups.
fn parts(cgroup: &str) -> impl Iterator<Item = &str> {
    let paths = cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.flat_map(|path| path.split('/'))
}

/// The beginning of a file of procfs.
fn read(path: &Path, most: u64) -> Option<Vec<u8>> {
    let file = files::open(path, Links::Follow).ok()?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
