//! Asks an HTTP server each millisecond for its page, and adds up the time without an answer: from
//! the last answer before a failure to the first one after it.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const EACH: Duration = Duration::from_millis(1);
/// A server that takes longer is not there.
const PATIENCE: Duration = Duration::from_millis(250);

/// What the polls saw.
struct Seen {
    servers: Vec<SocketAddr>,
    pages: BTreeSet<String>,
    answered: Instant,
    failing: bool,
    without: Duration,
}

/// A thread that polls; dropping it ends it.
pub struct Poll {
    seen: Arc<Mutex<Seen>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Poll {
    /// Polls these servers; one that answers is enough.
    pub fn start(servers: Vec<SocketAddr>) -> Self {
        let seen = Arc::new(Mutex::new(Seen {
            servers,
            pages: BTreeSet::new(),
            answered: Instant::now(),
            failing: false,
            without: Duration::ZERO,
        }));
        let ended = Arc::<AtomicBool>::default();
        let (told, stop) = (Arc::clone(&seen), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let begin = Instant::now();
                once(&told);
                thread::sleep(EACH.saturating_sub(begin.elapsed()));
            }
        });
        Self {
            seen,
            ended,
            thread: Some(thread),
        }
    }

    /// Polls these from now on.
    pub fn servers(&self, servers: Vec<SocketAddr>) {
        self.lock().servers = servers;
    }

    /// Forgets what was seen so far.
    pub fn clear(&self) {
        let mut seen = self.lock();
        seen.pages.clear();
        seen.without = Duration::ZERO;
        seen.failing = false;
        seen.answered = Instant::now();
    }

    /// Whether this page was seen since [`Self::clear`].
    pub fn saw(&self, page: &str) -> bool {
        self.lock().pages.contains(page)
    }

    /// The time without an answer since [`Self::clear`].
    pub fn without(&self) -> Duration {
        let seen = self.lock();
        let now = if seen.failing {
            seen.answered.elapsed()
        } else {
            Duration::ZERO
        };
        seen.without + now
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("the poll goes on")
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn once(seen: &Mutex<Seen>) {
    let servers = seen.lock().expect("the bench goes on").servers.clone();
    let pages: Vec<_> = servers.iter().filter_map(|server| page(*server)).collect();
    let mut seen = seen.lock().expect("the bench goes on");
    let now = Instant::now();
    if pages.is_empty() {
        seen.failing = true;
        return;
    }
    if seen.failing {
        seen.failing = false;
        let gap = now.duration_since(seen.answered);
        seen.without += gap;
    }
    seen.answered = now;
    seen.pages.extend(pages);
}

/// The page, where the server gives one.
fn page(server: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.contains(" 200 ").then(|| body.trim().to_owned())
}
