//! A unix socket in front of containerd's: everything passes through it unread, streams and
//! containerd's own services too, while CRI's calls are counted and told faults happen at the nth
//! call that changes something.
//!
//! One connection here is one connection there, so that an agent that is killed leaves containerd as
//! it does without a proxy: with calls that are cut off. It knows gRPC's paths and its status, and no
//! message but the one that it can give itself: that the runtime is another than containerd.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::Containerd;

/// The calls of CRI that change something; the others may come at any time and in any number.
pub const MUTATING: [&str; 9] = [
    "RunPodSandbox",
    "StopPodSandbox",
    "RemovePodSandbox",
    "CreateContainer",
    "StartContainer",
    "StopContainer",
    "RemoveContainer",
    "UpdateContainerResources",
    "PullImage",
];

/// When a fault happens; mutating calls are numbered from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// When the nth call has come, which containerd does not hear of before.
    Before(usize),
    /// When containerd has had the nth call for some milliseconds, unless it completed it in less.
    Within(usize),
    /// When the nth call was completed by containerd, and nobody knows of it yet.
    After(usize),
}

impl Point {
    /// The number of the call.
    pub fn number(self) -> usize {
        match self {
            Self::Before(n) | Self::Within(n) | Self::After(n) => n,
        }
    }
}

/// What happens.
pub enum Fault {
    /// The process is killed with SIGKILL, and the call has no answer.
    Kill(u32),
    /// This is run, then all goes on.
    Run(Box<dyn FnOnce() + Send>),
    /// The answer is this code of gRPC with this message.
    Fail(tonic::Code, &'static str),
    /// The call goes on, or its answer, after this time.
    Delay(Duration),
}

/// Long enough for a call to be read, too short for most to be completed.
const WITHIN: Duration = Duration::from_millis(5);

/// What goes on after a fault.
enum Then {
    GoOn,
    Answer(Answer),
}

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

/// What was counted, and what is to happen.
#[derive(Default)]
struct Tally {
    begun: Vec<String>,
    open: Vec<String>,
    cut: Vec<String>,
    completed: usize,
    methods: BTreeMap<String, usize>,
    disguised: bool,
    refused: Option<&'static str>,
    faults: Vec<(Point, Fault)>,
}

/// A proxy; dropping it ends it and its connections.
pub struct Proxy {
    socket: PathBuf,
    tally: Arc<Mutex<Tally>>,
    cancel: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts one in front of `containerd`, on a socket named after `name`.
    pub fn start(containerd: &Containerd, name: &str) -> Self {
        let socket = containerd.base().join(format!("proxy-{name}.sock"));
        let tally = Arc::<Mutex<Tally>>::default();
        let cancel = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = {
            let _inside = runtime.enter();
            drop(std::fs::remove_file(&socket));
            UnixListener::bind(&socket).unwrap_or_else(|e| panic!("{}: {e}", socket.display()))
        };
        let (counted, ended, target) = (Arc::clone(&tally), cancel.clone(), containerd.socket());
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, &target, &counted) => {}
                    () = ended.cancelled() => {}
                }
            });
        });
        Self {
            socket,
            tally,
            cancel,
            thread: Some(thread),
        }
    }

    /// Its socket as `containerRuntimeEndpoint` has it.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Answers a method with an error, or none any more; containerd does not hear of it.
    pub fn refuse(&self, method: Option<&'static str>) {
        lock(&self.tally).refused = method;
    }

    /// From now on containerd looks like another runtime: it has another name, and none of its own
    /// services.
    pub fn disguise(&self) {
        lock(&self.tally).disguised = true;
    }

    /// Has a fault happen, once.
    pub fn expect(&self, point: Point, fault: Fault) {
        lock(&self.tally).faults.push((point, fault));
    }

    /// Whether some fault has not happened yet.
    pub fn expects(&self) -> bool {
        !lock(&self.tally).faults.is_empty()
    }

    /// The mutating calls so far that containerd heard of, by name, in the order in which they came.
    pub fn calls(&self) -> Vec<String> {
        lock(&self.tally).begun.clone()
    }

    /// The mutating calls that containerd was at when the agent was killed.
    pub fn cut(&self) -> Vec<String> {
        lock(&self.tally).cut.clone()
    }

    /// How many calls of this method there were, of whatever service.
    pub fn count(&self, method: &str) -> usize {
        let tally = lock(&self.tally);
        tally.methods.get(method).copied().unwrap_or_default()
    }

    /// Counts from nothing again, and forgets faults that have not happened.
    pub fn reset(&self) {
        *lock(&self.tally) = Tally::default();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cancel.cancel();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
        drop(std::fs::remove_file(&self.socket));
    }
}

async fn accept(listener: UnixListener, target: &Path, tally: &Arc<Mutex<Tally>>) {
    while let Ok((client, _)) = listener.accept().await {
        let (target, tally) = (target.to_owned(), Arc::clone(tally));
        // What a connection ends with is the two ends' business.
        tokio::spawn(async move { serve(client, &target, &tally).await.ok() });
    }
}

/// Serves one connection until it ends. Without a containerd it ends at once, as a refusal.
async fn serve(client: UnixStream, target: &Path, tally: &Arc<Mutex<Tally>>) -> io::Result<()> {
    let upstream = TokioIo::new(UnixStream::connect(target).await?);
    let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .handshake(upstream)
        .await
        .map_err(io::Error::other)?;
    let pass = service_fn(|request| {
        let (sender, tally) = (sender.clone(), Arc::clone(tally));
        async move { pass(request, sender, &tally).await }
    });
    let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(client), pass);
    tokio::select! {
        served = served => served.map_err(io::Error::other),
        ended = connection => ended.map_err(io::Error::other),
    }
}

/// One call.
async fn pass(
    request: Request<Incoming>,
    mut sender: SendRequest<Incoming>,
    tally: &Mutex<Tally>,
) -> Result<Answer, hyper::Error> {
    let path = request.uri().path();
    let method = path.rsplit('/').next().unwrap_or_default().to_owned();
    if lock(tally).disguised {
        if path.starts_with("/containerd.") {
            return Ok(failure(tonic::Code::Unimplemented, "unknown service"));
        }
        if method == "Version" {
            return Ok(other_version());
        }
    }
    if lock(tally).refused.is_some_and(|refused| refused == method) {
        return Ok(failure(tonic::Code::Internal, "refused by the trial"));
    }
    if !path.starts_with("/runtime.v1.") || !MUTATING.contains(&method.as_str()) {
        *lock(tally).methods.entry(method).or_default() += 1;
        return Ok(sender.send_request(request).await?.map(BodyExt::boxed));
    }
    let before = lock(tally).before();
    if let Then::Answer(answer) = happen(before, tally).await {
        return Ok(answer);
    }
    let within = lock(tally).begin(method.clone());
    let call = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        Ok::<_, hyper::Error>((head, body.collect().await?))
    };
    tokio::pin!(call);
    let early = match within.as_slice() {
        [] => None,
        _ => tokio::time::timeout(WITHIN, &mut call).await.ok(),
    };
    if let Then::Answer(answer) = happen(within, tally).await {
        return Ok(answer);
    }
    let (head, body) = match early {
        Some(completed) => completed?,
        None => call.await?,
    };
    let after = lock(tally).complete(&method);
    if let Then::Answer(answer) = happen(after, tally).await {
        return Ok(answer);
    }
    let body = body.map_err(|never: Infallible| match never {});
    Ok(Response::from_parts(head, body.boxed()))
}

impl Tally {
    /// The faults before the call that comes now.
    fn before(&mut self) -> Vec<Fault> {
        let number = self.begun.len() + 1;
        self.take(Point::Before(number))
    }

    /// Counts a call that containerd hears of now; the faults within it.
    fn begin(&mut self, method: String) -> Vec<Fault> {
        *self.methods.entry(method.clone()).or_default() += 1;
        self.begun.push(method.clone());
        self.open.push(method);
        self.take(Point::Within(self.begun.len()))
    }

    /// The faults after the call that is completed now.
    fn complete(&mut self, method: &str) -> Vec<Fault> {
        if let Some(at) = self.open.iter().position(|open| open == method) {
            self.open.remove(at);
        }
        self.completed += 1;
        self.take(Point::After(self.completed))
    }

    fn take(&mut self, now: Point) -> Vec<Fault> {
        let taken = self.faults.extract_if(.., |(point, _)| *point == now);
        taken.map(|(_, fault)| fault).collect()
    }
}

async fn happen(faults: Vec<Fault>, tally: &Mutex<Tally>) -> Then {
    for fault in faults {
        match fault {
            Fault::Kill(pid) => {
                {
                    let mut tally = lock(tally);
                    tally.cut = std::mem::take(&mut tally.open);
                }
                let pid = Pid::from_raw(i32::try_from(pid).expect("a process id"));
                kill(pid, Signal::SIGKILL).expect("kill the process");
                // Its connection ends, and this call with it.
                std::future::pending().await
            }
            Fault::Run(run) => run(),
            Fault::Fail(code, message) => return Then::Answer(failure(code, message)),
            Fault::Delay(time) => tokio::time::sleep(time).await,
        }
    }
    Then::GoOn
}

/// An answer of nothing but gRPC's status.
fn failure(code: tonic::Code, message: &'static str) -> Answer {
    let body = Empty::new().map_err(|never: Infallible| match never {});
    let mut answer = Response::new(body.boxed());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from(i32::from(code)));
    headers.insert("grpc-message", HeaderValue::from_static(message));
    answer
}

/// CRI's VersionResponse of a runtime that does not exist.
fn other_version() -> Answer {
    let mut message = vec![];
    for (number, text) in [(1u8, "0.1.0"), (2, "other"), (3, "1.2.3"), (4, "v1")] {
        let length = u8::try_from(text.len()).expect("short");
        message.extend([number << 3 | 2, length]);
        message.extend(text.as_bytes());
    }
    let length = u32::try_from(message.len()).expect("short");
    let frame = [&[0], &length.to_be_bytes()[..], &message].concat();
    let ok = HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from(0))]);
    let body = Full::new(Bytes::from(frame)).with_trailers(std::future::ready(Some(Ok(ok))));
    let body = body.map_err(|never: Infallible| match never {});
    let mut answer = Response::new(body.boxed());
    let content = HeaderValue::from_static("application/grpc");
    answer.headers_mut().insert(CONTENT_TYPE, content);
    answer
}

/// A trial that failed meanwhile changes nothing about what was counted.
fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}
