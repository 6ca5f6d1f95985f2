//! The address a runtime gives for a command: where the streaming server is, and the token.
//!
//! Only the loopback address is gone to: whoever hears the token can run the command, and sees what
//! goes in and out.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hyper::Uri;

use super::error::StreamError;

/// An address that was checked. The path is a token and never printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Where the streaming server listens.
    pub server: SocketAddr,
    /// Path and query.
    pub path: String,
}

impl Address {
    /// Checks what the runtime answered.
    pub(super) fn parse(url: &str) -> Result<Self, StreamError> {
        let uri: Uri = url.parse().map_err(|_| StreamError::Address)?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(StreamError::Tls),
            _ => return Err(StreamError::Address),
        }
        let host = uri.host().ok_or(StreamError::Address)?;
        let plain = host.trim_start_matches('[').trim_end_matches(']');
        let ip = match plain {
            "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            other => other.parse().ok(),
        };
        let ip = ip.filter(IpAddr::is_loopback);
        let ip = ip.ok_or_else(|| StreamError::NotLoopback {
            host: host.to_owned(),
        })?;
        Ok(Self {
            server: SocketAddr::new(ip, uri.port_u16().unwrap_or(80)),
            path: uri
                .path_and_query()
                .map_or("/", |path| path.as_str())
                .to_owned(),
        })
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}/…", self.server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_gone_to() {
        let parse = |url| Address::parse(url).map_err(|error| error.to_string());
        let found = parse("http://127.0.0.1:34567/exec/Secret").expect("an address");
        assert_eq!(found.server, ([127, 0, 0, 1], 34567).into());
        assert_eq!(found.path, "/exec/Secret");
        assert_eq!(format!("{found:?}"), "http://127.0.0.1:34567/…");
        assert!(parse("http://[::1]:1/exec/x").is_ok());
        assert!(parse("http://localhost:1/exec/x").is_ok());
        for url in [
            "http://10.0.0.1:1/exec/Secret",
            "http://example.org/exec/Secret",
            "https://127.0.0.1:1/exec/Secret",
            "ftp://127.0.0.1/exec/Secret",
            "/exec/Secret",
            "\0Secret",
            "",
        ] {
            let error = parse(url).expect_err(url);
            assert!(!error.contains("Secret"), "{error}");
        }
    }
}
