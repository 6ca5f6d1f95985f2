//! Sends an HTTP GET (`pkg/probe/http`): a status from 200 to 399 is success.
//!
//! Redirects to the same host are followed, ten at most; one that leads elsewhere is an answer in
//! itself, and success. Certificates are not verified, as by kubelet: the agent asks its own pods.
//! Every request has a connection of its own and nothing is kept.

use std::fmt;
use std::net::Ipv6Addr;

use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::bounded::{ANSWER, Bounded};
use super::heads::Heads;
use super::{tcp, tls};
use crate::model::Answer;

/// Redirects that are followed.
const REDIRECTS: usize = 10;
/// Bytes of an answer's body that are read.
const READ: usize = 10 << 10;
/// The most headers of an answer.
const HEADERS: usize = 4096;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    tls: bool,
    host: String,
    port: u16,
    /// Path and query, as they are sent.
    path: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failed {
    /// No connection, or it broke.
    Broken(String),
    /// The server does not speak TLS.
    NotTls,
}

/// What was answered: the status and where to go instead, and why the body broke off, if it did.
pub(super) struct Answered {
    status: u16,
    location: Option<String>,
    broken: Option<String>,
}

impl Url {
    pub(super) fn new(tls: bool, host: &str, port: u16, path: &str) -> Self {
        let path = path.split('#').next().unwrap_or_default();
        let slash = if path.starts_with('/') { "" } else { "/" };
        Self {
            tls,
            host: host.to_owned(),
            port,
            path: format!("{slash}{}", escaped(path)),
        }
    }

    /// Where a redirect from here leads; `None` for another host or what cannot be read.
    fn redirected(&self, location: &str) -> Option<Self> {
        let absolute = |rest: &str, tls: bool| {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            let port = if tls { 443 } else { 80 };
            let (host, port) = match authority.rsplit_once(':') {
                Some((host, number)) if !number.contains(']') => (host, number.parse().ok()?),
                _ => (authority, port),
            };
            let host = host.trim_start_matches('[').trim_end_matches(']');
            (host == self.host).then(|| Self::new(tls, host, port, path))
        };
        if let Some(rest) = location.strip_prefix("http://") {
            absolute(rest, false)
        } else if let Some(rest) = location.strip_prefix("https://") {
            absolute(rest, true)
        } else if let Some(rest) = location.strip_prefix("//") {
            absolute(rest, self.tls)
        } else {
            let base = self.path.split('?').next().unwrap_or_default();
            let path = match location.chars().next() {
                Some('/') => location.to_owned(),
                Some('?') => format!("{base}{location}"),
                _ => format!(
                    "{}{location}",
                    &base[..=base.rfind('/').unwrap_or_default()]
                ),
            };
            Some(Self::new(self.tls, &self.host, self.port, &path))
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        let authority = authority(&self.host, self.port);
        write!(f, "{scheme}://{authority}{}", self.path)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(why) => f.write_str(why),
            Self::NotTls => f.write_str("the server gave no TLS answer to a TLS request"),
        }
    }
}

/// `host:port`, with brackets where the host is an IPv6 address.
pub(super) fn authority(host: &str, port: u16) -> String {
    if host.parse::<Ipv6Addr>().is_ok() {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// What cannot stand in a request line, percent-encoded.
fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => {
                out.push_str(&format!("%{byte:02X}"));
            }
            0x21..=0x7e => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The headers of a probe: the pod's own, and kubelet's where it has none. An empty `Accept` of the
/// pod's means none.
pub(super) fn probe_headers(own: &[(String, String)], tls: bool) -> HeaderMap {
    let mut headers = of_pod(own);
    add(&mut headers, header::USER_AGENT, "kube-probe/1.36");
    add(&mut headers, header::ACCEPT, "*/*");
    if headers
        .get(header::ACCEPT)
        .is_some_and(HeaderValue::is_empty)
    {
        headers.remove(header::ACCEPT);
    }
    if !tls {
        add(&mut headers, header::CONNECTION, "close");
    }
    headers
}

/// The headers of a hook.
pub(super) fn hook_headers(own: &[(String, String)]) -> HeaderMap {
    let mut headers = of_pod(own);
    add(&mut headers, header::USER_AGENT, "kube-lifecycle/1.36");
    add(&mut headers, header::ACCEPT, "*/*");
    add(&mut headers, header::ACCEPT_ENCODING, "gzip");
    headers
}

fn of_pod(own: &[(String, String)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in own {
        if let (Ok(name), Ok(value)) = (
            HeaderName::try_from(name.as_str()),
            HeaderValue::try_from(value.as_str()),
        ) {
            headers.append(name, value);
        }
    }
    headers
}

fn add(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers
        .entry(name)
        .or_insert(HeaderValue::from_static(value));
}

/// That there was no answer in time, in the words of Go's client.
pub(super) fn late(url: &Url) -> String {
    let why = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
    format!("Get \"{url}\": {why}")
}

/// Asks as a probe does. An answer whose body breaks off, or goes on at the deadline, says nothing,
/// as for kubelet (`DoHTTPProbe`: what `ReadAtMost` returns is thrown away by the prober's worker).
pub(super) async fn ask(mut url: Url, mut headers: HeaderMap, deadline: Instant) -> Answer {
    for _ in 0..=REDIRECTS {
        let answered = match get(&url, &headers, Some(deadline)).await {
            Ok(answered) => answered,
            Err(failed) => return Answer::Failure(format!("Get \"{url}\": {failed}")),
        };
        let follows = matches!(answered.status, 301 | 302 | 303 | 307 | 308);
        let next = answered.location.filter(|_| follows);
        match next.and_then(|location| url.redirected(&location)) {
            Some(next) => {
                if let Ok(from) = HeaderValue::try_from(url.to_string()) {
                    headers.insert(header::REFERER, from);
                }
                url = next;
            }
            None if answered.broken.is_some() => {
                return Answer::Unknown(answered.broken.unwrap_or_default());
            }
            None if (200..400).contains(&answered.status) => return Answer::Success,
            None => {
                let status = answered.status;
                return Answer::Failure(format!("HTTP probe failed with statuscode: {status}"));
            }
        }
    }
    Answer::Failure(format!("Get \"{url}\": stopped after 10 redirects"))
}

/// Sends one request and reads the beginning of its answer, the body until the deadline.
pub(super) async fn get(
    url: &Url,
    headers: &HeaderMap,
    deadline: Option<Instant>,
) -> Result<Answered, Failed> {
    let stream = TcpStream::connect((url.host.as_str(), url.port))
        .await
        .map_err(|error| Failed::Broken(tcp::refusal(&url.host, url.port, &error)))?;
    let response = if url.tls {
        let stream = tls::connect(&url.host, stream).await?;
        exchange(stream, url, headers, deadline).await
    } else {
        exchange(stream, url, headers, deadline).await
    }?;
    let location = response.headers().get(header::LOCATION);
    let location = location.and_then(|value| Some(value.to_str().ok()?.to_owned()));
    Ok(Answered {
        status: response.status().as_u16(),
        location,
        broken: response.into_body(),
    })
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    url: &Url,
    headers: &HeaderMap,
    deadline: Option<Instant>,
) -> Result<Response<Option<String>>, Failed> {
    let broken = |error: hyper::Error| Failed::Broken(innermost(&error));
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .title_case_headers(true)
        .max_buf_size(ANSWER)
        .max_headers(HEADERS)
        // As Go reads answers.
        .allow_obsolete_multiline_headers_in_responses(true)
        .handshake(TokioIo::new(Heads::new(Bounded::new(stream))))
        .await
        .map_err(broken)?;
    let request = request(url, headers)?;
    let answer = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let read = Limited::new(body, READ).collect();
        let read = match deadline {
            Some(deadline) => timeout_at(deadline, read).await,
            None => Ok(read.await),
        };
        let broken = match read {
            Ok(Ok(_)) => None,
            // More than that changes nothing about the answer.
            Ok(Err(error)) if error.is::<LengthLimitError>() => None,
            Ok(Err(error)) => Some(innermost(error.as_ref())),
            Err(_) => Some("context deadline exceeded while reading body".to_owned()),
        };
        Ok(Response::from_parts(head, broken))
    };
    tokio::pin!(answer);
    let answered = tokio::select! {
        biased;
        answered = &mut answer => answered,
        ended = connection => match ended {
            Ok(()) => answer.await,
            // Where the answer had begun, its body broke off.
            Err(error) => answer.await.map_err(|_| error),
        },
    };
    answered.map_err(broken)
}

fn request(url: &Url, headers: &HeaderMap) -> Result<Request<Empty<Bytes>>, Failed> {
    let unfit = |error: hyper::http::Error| Failed::Broken(error.to_string());
    let mut request = Request::get(url.path.as_str());
    if !headers.contains_key(header::HOST) {
        request = request.header(header::HOST, authority(&url.host, url.port));
    }
    let mut request = request.body(Empty::new()).map_err(unfit)?;
    request.headers_mut().extend(headers.clone());
    Ok(request)
}

/// The cause at the bottom of an error, in one line.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
