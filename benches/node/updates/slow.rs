//! A registry behind a line of 1 MB/s: bytes pass unread, those to the client at that pace.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::harness::Containerd;

/// The name that images of it have.
pub const HOST: &str = "slow.test";

/// So many bytes, then such a pause: 1 MB/s.
const PIECE: usize = 10_000;
const PAUSE: Duration = Duration::from_millis(10);

/// Starts it, and has containerd take every image of [`HOST`] through it.
pub fn start(containerd: &Containerd) {
    let registry = containerd.start_registry();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let directory = containerd.base().join("certs.d").join(HOST);
    std::fs::create_dir_all(&directory).expect("a directory");
    let url = format!("http://127.0.0.1:{port}");
    let text =
        format!("server = \"{url}\"\n[host.\"{url}\"]\n  capabilities = [\"pull\", \"resolve\"]\n");
    std::fs::write(directory.join("hosts.toml"), text).expect("hosts.toml");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || pass(client, registry).ok());
        }
    });
}

fn pass(client: TcpStream, registry: u16) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", registry))?;
    let (mut asking, mut asked) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        std::io::copy(&mut asking, &mut asked).ok();
        asked.shutdown(Shutdown::Write).ok();
    });
    let (mut from, mut to) = (server, client);
    let mut piece = vec![0; PIECE];
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            return to.shutdown(Shutdown::Both);
        }
        to.write_all(&piece[..read])?;
        thread::sleep(PAUSE.mul_f64(read as f64 / PIECE as f64));
    }
}
