//! Events as entries of systemd's journal: what `journalctl` shows says all that text would say, and
//! each field is one to filter by (`journalctl -u setlet POD=default/cni-x7k2p`).
//!
//! The journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): a datagram of `KEY=value`
//! lines, or of the key, a newline, the length in eight bytes and the value where that has newlines.

use std::fmt::{self, Write};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Where journald listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";
/// The longest value that is sent whole; larger datagrams may be refused.
const LONGEST: usize = 16 << 10;

/// The layer that sends to journald.
pub(super) struct Journal(UnixDatagram);

impl Journal {
    /// Connects to journald.
    ///
    /// # Errors
    /// When it does not listen there.
    pub(super) fn connect(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        Ok(Self(socket))
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut entry = Entry::default();
        event.record(&mut entry);
        // A journal that is being restarted misses what is said meanwhile.
        self.0.send(&entry.datagram(event.metadata())).ok();
    }
}

/// One event: its message and the fields after it, as text, and the fields by themselves.
#[derive(Default)]
struct Entry {
    message: String,
    text: String,
    fields: Vec<(String, String)>,
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        if field.name() == "message" {
            self.message = value;
            return;
        }
        // Writing to a String does not fail.
        let _ = write!(self.text, " {}={value}", field.name());
        self.fields.push((key(field.name()), value));
    }
}

impl Entry {
    fn datagram(&self, metadata: &Metadata<'_>) -> Vec<u8> {
        let mut datagram = Vec::with_capacity(512);
        let priority = match *metadata.level() {
            Level::ERROR => "3",
            Level::WARN => "4",
            Level::INFO => "6",
            Level::DEBUG | Level::TRACE => "7",
        };
        put(&mut datagram, "PRIORITY", priority);
        put(&mut datagram, "SYSLOG_IDENTIFIER", "setlet");
        put(&mut datagram, "TARGET", metadata.target());
        let text = format!("{}{}", self.message, self.text);
        put(&mut datagram, "MESSAGE", &text);
        for (key, value) in &self.fields {
            put(&mut datagram, key, value);
        }
        datagram
    }
}

/// A field's name as the journal wants it: capitals, digits and underscores, a letter first.
fn key(name: &str) -> String {
    let capital = |c: char| match c.to_ascii_uppercase() {
        c @ ('A'..='Z' | '0'..='9') => c,
        _ => '_',
    };
    let name: String = name.chars().map(capital).collect();
    name.trim_start_matches(|c: char| !c.is_ascii_uppercase())
        .to_owned()
}

fn put(datagram: &mut Vec<u8>, key: &str, value: &str) {
    let value = &value[..value.floor_char_boundary(LONGEST)];
    datagram.extend_from_slice(key.as_bytes());
    if value.contains('\n') {
        datagram.push(b'\n');
        datagram.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        datagram.push(b'=');
    }
    datagram.extend_from_slice(value.as_bytes());
    datagram.push(b'\n');
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn an_entry_reads_as_text_and_has_fields_to_filter_by() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let journald = UnixDatagram::bind(&path).expect("a socket");
        let layer = Journal::connect(&path).expect("connected");
        let registry = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(registry, || {
            tracing::warn!(pod = %"default/a-x", action = "stop\nmain", times = 3, "failed: {}", "x");
            tracing::info!(huge = %"é".repeat(LONGEST), "much");
        });
        let mut buffer = vec![0; 1 << 16];
        let read = journald.recv(&mut buffer).expect("an entry");
        let entry = String::from_utf8_lossy(&buffer[..read]).into_owned();
        let message = "failed: x pod=default/a-x action=stop\nmain times=3";
        let length = String::from_utf8_lossy(&(message.len() as u64).to_le_bytes()).into_owned();
        for part in [
            "PRIORITY=4\nSYSLOG_IDENTIFIER=setlet\nTARGET=setlet",
            &format!("\nMESSAGE\n{length}{message}\n"),
            "\nPOD=default/a-x\n",
            "\nACTION\n\u{9}\0\0\0\0\0\0\0stop\nmain\n",
            "\nTIMES=3\n",
        ] {
            assert!(entry.contains(part), "{part:?} in {entry:?}");
        }
        let read = journald.recv(&mut buffer).expect("a huge one, cut");
        assert!(read < 3 * LONGEST, "{read}");
        assert!(buffer[..read].ends_with("é\n".as_bytes()));
    }
}
