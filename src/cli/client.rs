//! The client side of the agent's socket: HTTP/1.1 over a unix stream, a connection for each
//! request.

use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use axum::body::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::header;
use hyper::http::request;
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::output::{Breaks, escaped, for_people};

/// Asks for tables, as kubectl does.
pub(super) const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
/// Asks for objects.
pub(super) const JSON: &str = "application/json";

/// A connection to the agent that is a WebSocket.
pub(super) type WebSocket = WebSocketStream<TokioIo<Upgraded>>;

/// A client of one agent.
#[derive(Debug, Clone)]
pub(super) struct Client {
    socket: PathBuf,
}

/// An answer that comes in pieces.
pub(super) struct Pieces {
    body: Incoming,
    /// Keeps the connection going for as long as the answer is read.
    _connection: JoinSet<()>,
}

impl Client {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Gets a document.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        accept: &str,
    ) -> anyhow::Result<T> {
        let mut pieces = self.stream(path, accept).await?;
        let body = pieces.all().await?;
        serde_json::from_slice(&body)
            .with_context(|| format!("the agent's answer to {path} is not understood; are its version and this program's the same?"))
    }

    /// As [`Client::get`], with every text as it may be shown on a terminal: much of it is what
    /// containers, archives and probes said.
    pub(super) async fn show<T: DeserializeOwned>(
        &self,
        path: &str,
        accept: &str,
        breaks: Breaks,
    ) -> anyhow::Result<T> {
        let document: Value = self.get(path, accept).await?;
        serde_json::from_value(for_people(document, breaks))
            .with_context(|| format!("the agent's answer to {path} is not understood; are its version and this program's the same?"))
    }

    /// Gets an answer piece by piece; an answer that is an error is one here.
    pub(super) async fn stream(&self, path: &str, accept: &str) -> anyhow::Result<Pieces> {
        self.call(Method::GET, path, accept).await
    }

    /// Has something done; returns what the agent says was.
    pub(super) async fn ask(&self, method: Method, path: &str) -> anyhow::Result<String> {
        let body = self.call(method, path, JSON).await?.all().await?;
        let done: Value = serde_json::from_slice(&body).unwrap_or_default();
        let message = done["message"].as_str().unwrap_or_default();
        Ok(escaped(message, Breaks::Keep))
    }

    async fn call(&self, method: Method, path: &str, accept: &str) -> anyhow::Result<Pieces> {
        let request = Request::builder().method(method).uri(path);
        let (response, connection) = self.send(request.header(header::ACCEPT, accept)).await?;
        let status = response.status();
        let mut pieces = Pieces {
            body: response.into_body(),
            _connection: connection,
        };
        if status.is_success() {
            return Ok(pieces);
        }
        bail!(refusal(status, &pieces.all().await?))
    }

    /// Gets a path as a WebSocket that speaks a sub-protocol; an answer that is an error is one
    /// here.
    pub(super) async fn websocket(&self, path: &str, protocol: &str) -> anyhow::Result<WebSocket> {
        let key = generate_key();
        let request = Request::get(path)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, &key)
            .header(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        let (response, connection) = self.send(request).await?;
        let status = response.status();
        let headers = response.headers();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let mut pieces = Pieces {
                body: response.into_body(),
                _connection: connection,
            };
            bail!(refusal(status, &pieces.all().await?));
        }
        let agreed = headers.get(header::SEC_WEBSOCKET_PROTOCOL);
        let accepted = headers.get(header::SEC_WEBSOCKET_ACCEPT);
        let expected = derive_accept_key(key.as_bytes());
        if agreed.is_none_or(|agreed| agreed != protocol)
            || accepted.is_none_or(|accepted| accepted != expected.as_str())
        {
            bail!(
                "the agent does not speak {protocol}; are its version and this program's the same?"
            );
        }
        let upgraded = TokioIo::new(hyper::upgrade::on(response).await?);
        Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await)
    }

    /// Sends a request without a body.
    async fn send(
        &self,
        request: request::Builder,
    ) -> anyhow::Result<(Response<Incoming>, JoinSet<()>)> {
        let sent = self.try_send(request).await;
        sent.map_err(|error| self.unreachable(&error))
    }

    async fn try_send(
        &self,
        request: request::Builder,
    ) -> anyhow::Result<(Response<Incoming>, JoinSet<()>)> {
        let stream = UnixStream::connect(&self.socket).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            // Its errors are also those of the answer.
            let _ = connection.with_upgrades().await;
        });
        let request = request
            .header(header::HOST, "setlet")
            .body(Empty::<Bytes>::new())?;
        Ok((sender.send_request(request).await?, connections))
    }

    fn unreachable(&self, error: &anyhow::Error) -> anyhow::Error {
        let hint = match error
            .downcast_ref::<std::io::Error>()
            .map(std::io::Error::kind)
        {
            Some(std::io::ErrorKind::PermissionDenied) => "only root and the socket's group may",
            _ => "is \"setlet run\" running?",
        };
        anyhow!(
            "cannot reach the agent at {}: {error}; {hint}",
            self.socket.display()
        )
    }
}

impl Pieces {
    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.context("the agent broke off its answer")?;
            if let Ok(piece) = frame.into_data() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    /// All that is left.
    async fn all(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(piece) = self.next().await? {
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }
}

/// An error answer in kubectl's words.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = match (parsed["message"].as_str(), parsed["reason"].as_str()) {
        (Some(message), Some(reason)) => format!("error from the agent ({reason}): {message}"),
        _ => format!(
            "error from the agent ({status}): {}",
            String::from_utf8_lossy(body).trim()
        ),
    };
    escaped(&said, Breaks::Keep)
}

/// A path segment or query value with everything but letters, digits and `-._~` percent-encoded.
pub(super) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
