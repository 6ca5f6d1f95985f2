//! The terminal setlet runs on while a command has it: every key goes to the command, its size is
//! told, and however setlet ends, the terminal is as it was.

use std::io::{self, IsTerminal};

use anyhow::Context;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::runtime::Size;

/// A terminal in raw mode; dropping it restores it.
pub(super) struct Terminal {
    before: Termios,
    resized: Signal,
    ending: [(Signal, u8); 4],
}

/// What is heard of a terminal.
pub(super) enum Heard {
    /// It has another size.
    Resized,
    /// A signal ends setlet; the exit status for it.
    Ending(u8),
}

impl Terminal {
    /// Whether standard input is one.
    pub(super) fn is_there() -> bool {
        io::stdin().is_terminal()
    }

    /// Sets it to raw mode.
    pub(super) fn open() -> anyhow::Result<Self> {
        let before = tcgetattr(io::stdin()).context("cannot read the terminal's modes")?;
        let listen = |kind: SignalKind| {
            let status = u8::try_from(128 + kind.as_raw_value()).unwrap_or(1);
            signal(kind).map(|signal| (signal, status))
        };
        // In raw mode none of them comes from a key.
        let terminal = Self {
            resized: signal(SignalKind::window_change())?,
            ending: [
                listen(SignalKind::interrupt())?,
                listen(SignalKind::terminate())?,
                listen(SignalKind::hangup())?,
                listen(SignalKind::quit())?,
            ],
            before: before.clone(),
        };
        // A panic may abort, and then nothing is dropped.
        let (hook, saved) = (std::panic::take_hook(), before.clone());
        std::panic::set_hook(Box::new(move |panic| {
            restore(&saved);
            hook(panic);
        }));
        let mut raw = before;
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw).context("cannot set raw mode")?;
        Ok(terminal)
    }

    /// Its size, where it is shown on a terminal that knows.
    pub(super) fn size() -> Option<Size> {
        let found = tcgetwinsize(io::stdout()).ok()?;
        let size = Size {
            width: found.ws_col,
            height: found.ws_row,
        };
        // One that nobody has set.
        (size.width > 0 && size.height > 0).then_some(size)
    }

    /// The next that is heard of it.
    pub(super) async fn heard(&mut self) -> Heard {
        let [interrupt, terminate, hangup, quit] = &mut self.ending;
        tokio::select! {
            _ = self.resized.recv() => Heard::Resized,
            _ = interrupt.0.recv() => Heard::Ending(interrupt.1),
            _ = terminate.0.recv() => Heard::Ending(terminate.1),
            _ = hangup.0.recv() => Heard::Ending(hangup.1),
            _ = quit.0.recv() => Heard::Ending(quit.1),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore(&self.before);
    }
}

/// A terminal that is gone needs nothing.
fn restore(before: &Termios) {
    tcsetattr(io::stdin(), OptionalActions::Now, before).ok();
}
