//! The signals a service manager sends.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// SIGTERM or SIGINT: stop; pods run on, unless the machine goes down.
    Stop,
    /// SIGPWR: the machine goes down, stop the pods and then stop. For machines without systemd.
    PowerOff,
    /// SIGHUP: read the configuration and the manifests again.
    Reload,
}

/// The signals the agent hears.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    power: Signal,
    hangup: Signal,
}

impl Signals {
    /// Begins to hear.
    ///
    /// # Errors
    /// When the system does not let signals be heard.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            power: signal(SignalKind::from_raw(nix::libc::SIGPWR))?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next signal.
    pub async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.power.recv() => Told::PowerOff,
            _ = self.hangup.recv() => Told::Reload,
        }
    }
}
