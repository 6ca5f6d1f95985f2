//! From an address to a connection that speaks SPDY: HTTP/1.1's upgrade, as kubelet asks for it.

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HOST, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::address::Address;
use super::error::StreamError;

/// The header that names the protocol of the streams.
const VERSION_HEADER: &str = "x-stream-protocol-version";
/// The version in which the error stream ends with a status.
const VERSION: &str = "v4.channel.k8s.io";

/// Connects and upgrades; from then on frames go both ways.
pub(super) async fn upgrade(address: &Address) -> Result<TokioIo<Upgraded>, StreamError> {
    let connect = |source| StreamError::Connect {
        address: address.server,
        source,
    };
    let stream = TcpStream::connect(address.server).await.map_err(connect)?;
    // What is typed goes out at once.
    stream.set_nodelay(true).map_err(connect)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::post(&address.path)
        .header(HOST, address.server.to_string())
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "SPDY/3.1")
        .header(VERSION_HEADER, VERSION)
        .body(Empty::<Bytes>::new())
        .map_err(|_| StreamError::Address)?;
    let ask = async {
        let answer = sender.send_request(request).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(StreamError::Refused(answer.status()));
        }
        let version = answer.headers().get(VERSION_HEADER);
        if version.is_none_or(|version| version != VERSION) {
            return Err(StreamError::Protocol);
        }
        Ok(TokioIo::new(hyper::upgrade::on(answer).await?))
    };
    // The connection has to be driven until it is handed over, and then ends by itself.
    let drive = async {
        match connection.with_upgrades().await {
            Ok(()) => std::future::pending().await,
            Err(error) => error,
        }
    };
    tokio::select! {
        asked = ask => asked,
        error = drive => Err(error.into()),
    }
}
