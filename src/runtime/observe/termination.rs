//! The message an ended container leaves behind: its termination log, or the end of its output.
//!
//! As kubelet (pkg/kubelet/kuberuntime, getTerminationMessage): at most 4096 bytes of the file that
//! `terminationMessagePath` names, or, with `FallbackToLogsOnError` and a failed container that wrote
//! none, the last 80 lines of its log and of those 2048 bytes. Reads, never writes.

use std::io;
use std::path::Path;

use crate::cri;
use crate::files::{self, Links};
use crate::runtime::cache::Details;
use crate::runtime::log;
use crate::runtime::translate::labels;

const MAX_BYTES: u64 = 4096;
const MAX_LOG_LINES: usize = 80;
const MAX_LOG_BYTES: usize = 2048;

/// Appends the termination message to the runtime's own.
pub(super) fn add_message(details: &mut Details, status: &cri::ContainerStatus) {
    let text = message(details, status);
    if text.is_empty() {
        return;
    }
    if !details.message.is_empty() {
        details.message.push_str(": ");
    }
    details.message.push_str(&text);
}

fn message(details: &Details, status: &cri::ContainerStatus) -> String {
    let policy = status.annotations.get(labels::TERMINATION_MESSAGE_POLICY);
    let falls_back = policy.is_some_and(|p| p == "FallbackToLogsOnError")
        && details.exit_code != 0
        && details.reason != "ContainerCannotRun";
    let path = status.annotations.get(labels::TERMINATION_MESSAGE_PATH);
    let mount = path
        .filter(|path| !path.is_empty())
        .and_then(|path| status.mounts.iter().find(|m| m.container_path == *path));
    if let Some(mount) = mount {
        match read_end(Path::new(&mount.host_path), MAX_BYTES) {
            Ok(text) if !text.is_empty() => return text,
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return format!(
                    "Error on reading termination log {}: {error}",
                    mount.host_path
                );
            }
            Ok(_) | Err(_) => {}
        }
    }
    match &details.log_path {
        Some(log) if falls_back => log_end(log),
        _ => String::new(),
    }
}

fn read_end(path: &Path, max: u64) -> io::Result<String> {
    let bytes = files::read_end(files::open(path, Links::Refuse)?, max)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last lines of a log's text; empty when it cannot be read, as kubelet leaves it.
fn log_end(path: &Path) -> String {
    // What is in front of a text byte is at most this much for every line.
    let window = (MAX_LOG_BYTES + MAX_LOG_LINES * log::MAX_PREFIX_BYTES) as u64;
    let Ok(raw) = read_end(path, window) else {
        return String::new();
    };
    let text = log::last_lines(raw.as_bytes(), MAX_LOG_LINES);
    let start = text.len().saturating_sub(MAX_LOG_BYTES);
    String::from_utf8_lossy(&text[start..]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::observe::convert;
    use std::fs;
    use std::path::PathBuf;

    struct Ended {
        dir: tempfile::TempDir,
        status: cri::ContainerStatus,
    }

    fn ended(policy: &str) -> Ended {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| -> String { dir.path().join(name).to_string_lossy().into() };
        let status = cri::ContainerStatus {
            exit_code: 3,
            state: cri::ContainerState::ContainerExited.into(),
            log_path: path("0.log"),
            annotations: [
                (labels::TERMINATION_MESSAGE_PATH, "/dev/termination-log"),
                (labels::TERMINATION_MESSAGE_POLICY, policy),
            ]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
            mounts: vec![cri::Mount {
                container_path: "/dev/termination-log".into(),
                host_path: path("message"),
                ..Default::default()
            }],
            ..Default::default()
        };
        Ended { dir, status }
    }

    impl Ended {
        fn write(&self, name: &str, text: &str) {
            fs::File::create(self.path(name))
                .and_then(|mut f| io::Write::write_all(&mut f, text.as_bytes()))
                .unwrap();
        }
        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }
        fn message(&self) -> String {
            let mut details = convert::details(&self.status);
            add_message(&mut details, &self.status);
            details.message
        }
    }

    #[test]
    fn the_file_comes_first_and_only_its_end() {
        let ended = ended("FallbackToLogsOnError");
        ended.write("0.log", "2026-01-01T00:00:00Z stdout F from the log\n");
        ended.write(
            "message",
            &format!("{}{}", "a".repeat(10), "b".repeat(4096)),
        );
        assert_eq!(ended.message(), "b".repeat(4096));
    }

    #[test]
    fn the_log_stands_in_only_for_a_failed_container() {
        let mut ended = ended("FallbackToLogsOnError");
        ended.write("message", "");
        let lines: String = (0..100)
            .map(|n| format!("2026-01-01T00:00:00.123456789Z stderr F line {n}\n"))
            .collect();
        ended.write("0.log", &lines);
        let message = ended.message();
        assert!(message.starts_with("line 20\n"), "{message}");
        assert!(message.ends_with("line 99\n"), "{message}");
        ended.status.exit_code = 0;
        assert_eq!(ended.message(), "");
    }

    #[test]
    fn the_file_alone_by_default_after_the_runtimes_message() {
        let mut ended = ended("File");
        ended.write("0.log", "2026-01-01T00:00:00Z stdout F from the log\n");
        assert_eq!(ended.message(), "");
        ended.write("message", "why");
        ended.status.message = "runtime".into();
        assert_eq!(ended.message(), "runtime: why");
    }

    #[test]
    fn a_fifo_does_not_hold_the_agent() {
        let ended = ended("File");
        let fifo = ended.path("message");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert!(
            ended
                .message()
                .ends_with("it is a FIFO, not a regular file")
        );
    }
}
