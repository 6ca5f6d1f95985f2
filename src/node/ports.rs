//! Which ports of the host somebody listens on, from `/proc/net` (proc(5)).
//!
//! Ports that a CNI plugin maps by packet filter have no listener and are not seen here; those of
//! the agent's own pods are known from their specifications.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::Error;
use crate::model::HostPort;

/// `TCP_LISTEN` of the kernel.
const LISTENING: &str = "0A";
/// `TCP_CLOSE`: what an unconnected UDP socket is in.
const UNCONNECTED: &str = "07";

/// The first of some ports that is in use.
///
/// # Errors
/// The kernel's list cannot be read.
pub fn first_taken(ports: &[HostPort]) -> Result<Option<HostPort>, Error> {
    let mut taken = Vec::new();
    for (file, protocol, state) in [
        ("tcp", "TCP", LISTENING),
        ("tcp6", "TCP", LISTENING),
        ("udp", "UDP", UNCONNECTED),
        ("udp6", "UDP", UNCONNECTED),
    ] {
        let path = Path::new("/proc/net").join(file);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            // A kernel without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(Error::Sockets { path, source }),
        };
        let sockets = text.lines().skip(1).filter_map(|line| socket(line, state));
        taken.extend(sockets.map(|(ip, port)| (protocol, ip, port)));
    }
    let is_taken = |wanted: &&HostPort| {
        let address: Option<IpAddr> = wanted.ip.parse().ok();
        taken.iter().any(|(protocol, ip, port)| {
            let every = ip.is_unspecified() || address.is_none_or(|a| a.is_unspecified());
            *protocol == wanted.protocol
                && i32::from(*port) == wanted.port
                && (every || address == Some(*ip))
        })
    };
    Ok(ports.iter().find(is_taken).cloned())
}

/// Address and port of a line, where its socket is in that state.
fn socket(line: &str, state: &str) -> Option<(IpAddr, u16)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (ip, port) = fields.next()?.split_once(':')?;
    fields.next()?;
    if fields.next()? != state {
        return None;
    }
    Some((address(ip)?, u16::from_str_radix(port, 16).ok()?))
}

/// Addresses are written as words in the machine's order.
fn address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    if hex.len() == 8 {
        return Some(IpAddr::V4(Ipv4Addr::from(word(0)?)));
    }
    let mut bytes = [0; 16];
    for (index, part) in bytes.chunks_exact_mut(4).enumerate() {
        part.copy_from_slice(&word(index * 8)?);
    }
    let ip = Ipv6Addr::from(bytes);
    Some(ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    fn port(number: u16, protocol: &str, ip: &str) -> HostPort {
        HostPort {
            port: i32::from(number),
            protocol: protocol.to_owned(),
            ip: ip.to_owned(),
        }
    }

    #[test]
    fn a_listener_takes_its_port_and_address_only() {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let number = tcp.local_addr().expect("its address").port();
        let taken = |port: HostPort| first_taken(&[port]).expect("a list").is_some();
        assert!(taken(port(number, "TCP", "")));
        assert!(taken(port(number, "TCP", "127.0.0.1")));
        assert!(!taken(port(number, "TCP", "127.0.0.2")));
        assert!(!taken(port(number, "UDP", "")));
        drop(tcp);
        assert!(!taken(port(number, "TCP", "")));

        let udp = UdpSocket::bind("[::]:0").expect("a socket");
        let number = udp.local_addr().expect("its address").port();
        assert!(taken(port(number, "UDP", "10.1.2.3")));
    }

    #[test]
    fn lines_are_read_as_the_kernel_writes_them() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 0 0 1 1";
        let expected = (IpAddr::from([127, 0, 0, 1]), 8080);
        assert_eq!(socket(line, LISTENING), Some(expected));
        assert_eq!(socket(line, UNCONNECTED), None);
        assert_eq!(socket("sl local_address", LISTENING), None);
    }
}
