//! A web server in the trial's own process, on a port of this node, with or without TLS. It writes down
//! what it is asked.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::harness::mirror::certificate;

/// How a TLS client begins.
const TLS_HANDSHAKE: u8 = 0x16;

/// The server; it answers for as long as the trials run.
#[derive(Clone)]
pub struct Web {
    /// Its port, on every address of this node.
    pub port: u16,
    status: Arc<AtomicU16>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    /// One that answers with the status 200.
    pub fn start() -> Self {
        Self::serve(None)
    }

    /// One that speaks TLS only, with a certificate that nobody knows; its files go to the directory.
    pub fn start_tls(directory: &Path) -> Self {
        Self::serve(Some(certificate(directory)))
    }

    /// Changes what it answers with.
    pub fn answer_with(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// The heads of the requests so far: their lines, joined by `\r\n`.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("what was asked").clone()
    }

    fn serve(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
        let web = Self {
            port: listener.local_addr().expect("an address").port(),
            status: Arc::new(AtomicU16::new(200)),
            asked: Arc::default(),
        };
        let served = web.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (web, tls) = (served.clone(), tls.clone());
                // A client that goes away is seen by what it did not ask.
                thread::spawn(move || web.accept(client, tls).ok());
            }
        });
        web
    }

    fn accept(&self, client: TcpStream, tls: Option<Arc<ServerConfig>>) -> std::io::Result<()> {
        match tls {
            None => self.answer(client),
            Some(config) => {
                let server = ServerConnection::new(config).map_err(std::io::Error::other)?;
                self.answer(StreamOwned::new(server, client))
            }
        }
    }

    fn answer(&self, mut client: impl Read + Write) -> std::io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte)?;
            head.push(byte[0]);
            if head == [TLS_HANDSHAKE] {
                // As web servers say to who speaks TLS to them.
                return client.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
            }
        }
        let head = String::from_utf8_lossy(&head).trim_end().to_owned();
        self.asked.lock().expect("what was asked").push(head);
        let status = self.status.load(Ordering::Relaxed);
        let text = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        client.write_all(text.as_bytes())?;
        client.flush()
    }
}
