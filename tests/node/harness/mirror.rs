//! A registry of the trial's own in front of the real one: it writes down what is asked of it,
//! answers as slowly as it is told, and may speak TLS with a certificate that nobody knows.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::containerd::{Containerd, run};

/// A registry that containerd takes every image of one host from.
#[derive(Debug)]
pub struct Mirror {
    asked: Arc<Mutex<Vec<String>>>,
    /// The certificate, where it speaks TLS.
    pub certificate: Option<PathBuf>,
    hosts: PathBuf,
    url: String,
}

/// What it does besides handing on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manners {
    /// How long it takes to answer a request for a manifest or a blob.
    pub delay: Duration,
    /// Whether it speaks TLS.
    pub tls: bool,
}

impl Mirror {
    /// Starts one for the images of `host`; it runs for as long as the suite.
    pub fn start(containerd: &Containerd, host: &str, manners: Manners) -> Self {
        let registry = containerd.start_registry();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let directory = containerd.base().join("certs.d").join(host);
        std::fs::create_dir_all(&directory).expect("a directory");
        let tls = manners.tls.then(|| certificate(&directory));
        let scheme = if manners.tls { "https" } else { "http" };
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mirror = Self {
            asked: Arc::clone(&asked),
            certificate: manners.tls.then(|| directory.join("cert.pem")),
            hosts: directory.join("hosts.toml"),
            url: format!("{scheme}://127.0.0.1:{port}"),
        };
        mirror.trust(None);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (asked, tls) = (Arc::clone(&asked), tls.clone());
                thread::spawn(move || {
                    // A client that goes away is not the trial's failure.
                    drop(match tls {
                        None => answer(client, registry, manners, &asked),
                        Some(config) => ServerConnection::new(config)
                            .map_err(std::io::Error::other)
                            .and_then(|server| {
                                let client = StreamOwned::new(server, client);
                                answer(client, registry, manners, &asked)
                            }),
                    });
                });
            }
        });
        mirror
    }

    /// Has containerd use it, trusting this certificate besides those it knows.
    pub fn trust(&self, certificate: Option<&Path>) {
        let ca = certificate.map(|path| format!("  ca = \"{}\"\n", path.display()));
        let text = format!(
            "server = \"{0}\"\n[host.\"{0}\"]\n  capabilities = [\"pull\", \"resolve\"]\n{1}",
            self.url,
            ca.unwrap_or_default()
        );
        std::fs::write(&self.hosts, text).expect("hosts.toml");
    }

    /// What was asked for so far, `METHOD PATH`, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no thread panics").clone()
    }
}

/// Makes a key and a certificate for the loopback address.
pub fn certificate(directory: &Path) -> Arc<ServerConfig> {
    let (key, cert) = (directory.join("key.pem"), directory.join("cert.pem"));
    run(Command::new("openssl")
        .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes".split(' '))
        .args(["-days", "2", "-subj", "/CN=trial"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&cert));
    let chain = vec![CertificateDer::from_pem_file(&cert).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(&key).expect("a key");
    let config = ServerConfig::builder().with_no_client_auth();
    Arc::new(config.with_single_cert(chain, key).expect("they fit"))
}

/// One request on one connection.
fn answer(
    mut client: impl Read + Write,
    registry: u16,
    manners: Manners,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let line: Vec<&str> = head.split_whitespace().take(2).collect();
    let path = line.get(1).copied().unwrap_or_default();
    if path.contains("/manifests/") || path.contains("/blobs/") {
        let path = path.split('?').next().unwrap_or_default();
        let mut asked = asked.lock().expect("no thread panics");
        asked.push(format!("{} {path}", line[0]));
        drop(asked);
        thread::sleep(manners.delay);
    }
    let mut server = TcpStream::connect(("127.0.0.1", registry))?;
    let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    server.write_all(head.as_bytes())?;
    std::io::copy(&mut server, &mut client)?;
    client.flush()
}
