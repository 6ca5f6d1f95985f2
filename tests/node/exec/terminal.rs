//! A command on a terminal: its size, its keys, and how the terminal is left.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::{agent, exec, told};
use crate::harness::agent::{SETLET, SOON};
use crate::harness::{Agent, Containerd, wait_for};

/// A terminal with a program on it.
struct Screen {
    child: Child,
    keys: std::fs::File,
    terminal: OwnedFd,
    shown: Arc<Mutex<String>>,
}

impl Screen {
    /// Runs `setlet exec` on a terminal of its own, which is the terminal of its session.
    fn open(agent: &Agent, words: &[&str], size: Winsize) -> Self {
        let pty = nix::pty::openpty(None, None).expect("a terminal");
        tcsetwinsize(&pty.slave, size).expect("a size");
        let side = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
        let child = Command::new("setsid")
            .args(["--ctty", SETLET, "exec", "--socket"])
            .arg(agent.socket())
            .args(words)
            .stdin(side())
            .stdout(side())
            .stderr(side())
            .spawn()
            .expect("setsid");
        let shown = Arc::new(Mutex::new(String::new()));
        let mut screen = std::fs::File::from(pty.master.try_clone().expect("a descriptor"));
        let sink = Arc::clone(&shown);
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = screen.read(&mut piece) {
                let text = String::from_utf8_lossy(&piece[..length]);
                sink.lock().expect("a lock").push_str(&text);
            }
        });
        Self {
            child,
            keys: pty.master.into(),
            terminal: pty.slave,
            shown,
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("pressed");
    }

    /// Waits until something is shown, and forgets all up to it.
    fn wait_shown(&self, what: &str) {
        wait_for(SOON, &format!("{what:?} is shown"), || {
            let mut shown = self.shown.lock().expect("a lock");
            match shown.find(what) {
                Some(at) => {
                    shown.drain(..at + what.len());
                    Ok(())
                }
                None => Err(shown.clone()),
            }
        });
    }

    /// Whether keys are handed on one by one instead of in lines.
    fn is_raw(&self) -> bool {
        let modes = tcgetattr(&self.terminal).expect("modes");
        !modes.local_modes.contains(LocalModes::ICANON)
    }

    fn wait_end(&mut self) -> Option<i32> {
        wait_for(SOON, "setlet exec ends", || {
            let ended = self.child.try_wait().expect("a child");
            ended.map(|status| status.code()).ok_or_else(|| {
                let shown = self.shown.lock().expect("a lock");
                shown.clone()
            })
        })
    }
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize {
        ws_col: columns,
        ws_row: rows,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

pub(super) fn a_terminal(containerd: &Arc<Containerd>) {
    let agent = agent(containerd, "exec-terminal");
    let words = ["-it", "ds/box", "--", "sh"];
    let mut screen = Screen::open(&agent, &words, size(132, 43));
    screen.wait_shown("# ");
    assert!(screen.is_raw());
    screen.press("stty size\r");
    screen.wait_shown("43 132");
    tcsetwinsize(&screen.terminal, size(100, 30)).expect("a size");
    wait_for(SOON, "the new size is known", || {
        screen.press("stty size\r");
        thread::sleep(Duration::from_millis(200));
        let shown = screen.shown.lock().expect("a lock");
        if shown.contains("30 100") {
            Ok(())
        } else {
            Err(shown.clone())
        }
    });
    // Ctrl-C is the command's.
    screen.press("sleep 1000\r");
    thread::sleep(Duration::from_millis(300));
    screen.press("\u{3}");
    screen.press("echo al''ive\r");
    screen.wait_shown("alive");
    screen.press("exit 5\r");
    assert_eq!(screen.wait_end(), Some(5));
    assert!(!screen.is_raw());

    let mut screen = Screen::open(&agent, &words, size(80, 24));
    screen.wait_shown("# ");
    assert!(screen.is_raw());
    let pid = i32::try_from(screen.child.id()).expect("a process id");
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("signal setlet");
    assert_eq!(screen.wait_end(), Some(143));
    assert!(!screen.is_raw());

    // Without a terminal -t is done without, and said so.
    let output = exec(&agent, &["-it", "ds/box", "--", "tty"]).output();
    let (code, stdout, stderr) = told(&output.expect("setlet exec"));
    assert_eq!((code, stdout.as_str()), (Some(1), "not a tty\n"));
    assert!(stderr.starts_with("Unable to use a TTY"), "{stderr}");
}
