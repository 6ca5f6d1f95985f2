//! The WebSocket handshake (RFC 6455) and the sub-protocols of remote commands.
//!
//! Both have one byte before each message that says which stream it is of. In `v5.channel.k8s.io` a
//! client can close a stream; `v4.channel.k8s.io` has no way to.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::super::failure::Failure;

/// A connection after its upgrade.
pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// The longest message that is taken: what a client can make the agent hold.
const MAX_MESSAGE: usize = 1 << 20;
/// Bytes that are read at once.
const READ: usize = 16 << 10;

/// What both sides mean by a channel's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    V5,
    V4,
}

/// A handshake that can be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    pub protocol: Protocol,
    accept: String,
}

impl Protocol {
    /// Best first.
    const ALL: [Self; 2] = [Self::V5, Self::V4];

    fn name(self) -> &'static str {
        match self {
            Self::V5 => "v5.channel.k8s.io",
            Self::V4 => "v4.channel.k8s.io",
        }
    }
}

/// Reads a handshake.
pub(super) fn offer(request: &Request) -> Result<Offer, Failure> {
    let headers = request.headers();
    let asked = request.method() == Method::GET
        && has(headers, &CONNECTION, "upgrade")
        && has(headers, &UPGRADE, "websocket")
        && has(headers, &SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|_| asked);
    let key = key.ok_or_else(|| {
        Failure::bad_request(
            "Upgrade request required: exec is served over WebSocket only, as kubectl 1.31 and \
             later ask for it",
        )
    })?;
    let mut known = Protocol::ALL.into_iter();
    let protocol = known
        .find(|known| has(headers, &SEC_WEBSOCKET_PROTOCOL, known.name()))
        .ok_or_else(|| {
            Failure::bad_request(
                "Sec-WebSocket-Protocol: exec speaks v5.channel.k8s.io and v4.channel.k8s.io",
            )
        })?;
    Ok(Offer {
        protocol,
        accept: derive_accept_key(key.as_bytes()),
    })
}

/// Whether a header has a word in one of its comma-separated lists.
fn has(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).into_iter();
    let mut words = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    words.any(|found| found.trim().eq_ignore_ascii_case(word))
}

impl Offer {
    /// The answer after which the connection is a WebSocket.
    pub(super) fn accept(self) -> Response {
        let headers = [
            (CONNECTION, "Upgrade"),
            (UPGRADE, "websocket"),
            (SEC_WEBSOCKET_ACCEPT, &self.accept),
            (SEC_WEBSOCKET_PROTOCOL, self.protocol.name()),
        ];
        (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response()
    }
}

/// The WebSocket on an upgraded connection.
pub(super) async fn socket(upgraded: Upgraded) -> Socket {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ)
        .write_buffer_size(0)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, headers: &[(&str, &str)]) -> Request {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).expect("a request")
    }

    const GOOD: [(&str, &str); 5] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-protocol", "x, v4.channel.k8s.io"),
    ];

    #[test]
    fn the_best_protocol_is_chosen() {
        let found = offer(&request("GET", &GOOD)).expect("an offer");
        // The example of RFC 6455, section 1.3.
        assert_eq!(found.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(found.protocol, Protocol::V4);
        let both = [
            &GOOD[..],
            &[("sec-websocket-protocol", "v5.channel.k8s.io")],
        ]
        .concat();
        let found = offer(&request("GET", &both)).expect("an offer");
        assert_eq!(found.protocol, Protocol::V5);
    }

    #[test]
    fn what_is_no_handshake_is_refused() {
        assert!(offer(&request("POST", &GOOD)).is_err());
        for missing in 0..GOOD.len() {
            let mut headers = GOOD.to_vec();
            headers.remove(missing);
            assert!(offer(&request("GET", &headers)).is_err(), "{headers:?}");
        }
    }
}
