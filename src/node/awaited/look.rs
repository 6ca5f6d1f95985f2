//! One look at each condition.
//!
//! A path is there when it leads to something, a dangling link does not. A socket is there when a
//! connection is accepted into its queue, whatever its type. Units are asked for of `systemctl
//! is-active`, all in one call: that needs no library for the message bus in the agent, and runs
//! only while somebody waits for a unit.

use std::collections::BTreeSet;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::api::Condition;
use crate::model::{Found, HostConditions};
use crate::node::systemctl;

/// Whether systemd is to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Units {
    /// Now.
    Ask,
    /// Only about units that nothing is known of yet.
    Known,
}

/// Looks at everything that is asked for.
pub(super) async fn look(
    asked: &BTreeSet<Condition>,
    known: &HostConditions,
    units: Units,
) -> HostConditions {
    let mut found = HostConditions::new();
    let mut unasked = Vec::new();
    for condition in asked {
        let now = match condition {
            Condition::Path(path) => path_is_there(path).await,
            Condition::Socket(path) => socket_answers(path),
            Condition::Unit(name) => match known.get(condition) {
                Some(known) if units == Units::Known => known.clone(),
                _ => {
                    unasked.push(name.as_str());
                    continue;
                }
            },
            // Other sets are not this machine's.
            Condition::Set(_) => continue,
        };
        found.insert(condition.clone(), now);
    }
    if !unasked.is_empty() {
        let answers = units_are_active(&unasked).await;
        let unit = |name: &str| Condition::Unit(name.to_owned());
        found.extend(unasked.into_iter().map(unit).zip(answers));
    }
    found
}

async fn path_is_there(path: &str) -> Found {
    match tokio::fs::metadata(path).await {
        Ok(_) => Found::Met,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Found::NotYet("there is nothing at this path yet".to_owned())
        }
        Err(error) => Found::NotYet(format!("it cannot be looked at: {error}")),
    }
}

fn socket_answers(path: &str) -> Found {
    let mut refusal = Errno::EPROTOTYPE;
    for kind in [SockType::Stream, SockType::SeqPacket, SockType::Datagram] {
        refusal = match try_connect(path, kind) {
            Ok(()) => return Found::Met,
            Err(Errno::EPROTOTYPE) => continue,
            Err(other) => other,
        };
        break;
    }
    Found::NotYet(match refusal {
        Errno::ENOENT => "there is no such socket yet".to_owned(),
        Errno::ECONNREFUSED => "nobody listens on it yet".to_owned(),
        Errno::EAGAIN => "its queue of connections is full".to_owned(),
        other => format!("it cannot be connected to: {}", other.desc()),
    })
}

/// Connects and hangs up; never waits.
fn try_connect(path: &str, kind: SockType) -> Result<(), Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let own = socket(AddressFamily::Unix, kind, flags, None)?;
    connect(own.as_raw_fd(), &UnixAddr::new(path)?)
}

/// How each unit stands, in the order of the names.
async fn units_are_active(names: &[&str]) -> Vec<Found> {
    let all = |why: &str| vec![Found::NotYet(why.to_owned()); names.len()];
    if !systemctl::booted() {
        return all("systemd does not run on this machine, so no unit is ever active");
    }
    match systemctl::ask(&[&["is-active", "--"], names].concat()).await {
        Err(why) => all(&why),
        Ok(answer) => {
            let complaint = String::from_utf8_lossy(&answer.stderr);
            states(&String::from_utf8_lossy(&answer.stdout), names.len())
                .unwrap_or_else(|| all(&format!("systemctl says: {}", complaint.trim())))
        }
    }
}

/// Reads `systemctl is-active`: a line a unit.
fn states(answer: &str, units: usize) -> Option<Vec<Found>> {
    let state = |state: &str| match state {
        "active" | "reloading" | "refreshing" => Found::Met,
        other => Found::NotYet(format!("systemd says that it is {other}")),
    };
    let states: Vec<_> = answer.lines().map(state).collect();
    (states.len() == units).then_some(states)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_systemctl_is_read() {
        let read = states("active\nactivating\nreloading\n", 3).expect("three states");
        let waits = Found::NotYet("systemd says that it is activating".into());
        assert_eq!(read, [Found::Met, waits, Found::Met]);
        assert_eq!(states("", 1), None);
    }
}
