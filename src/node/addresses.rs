//! The node's addresses: those of the interface the default route leaves by, one a family.
//!
//! kubelet without `--node-ip` does the same (`k8s.io/apimachinery/pkg/util/net.ChooseHostInterface`).
//! Differs: of several default routes the one with the lowest metric counts, as for the kernel;
//! kubelet takes the first. Without any default route it is the first interface with a global
//! address; kubelet does not start then.

use std::fs;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// An address of an interface that is up and not the loopback.
type Interface = (String, IpAddr);

/// This machine's addresses.
pub(super) fn read() -> Vec<IpAddr> {
    let v4 = fs::read_to_string("/proc/net/route").unwrap_or_default();
    let v6 = fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    choose(default_v4(&v4), default_v6(&v6), &interfaces())
}

fn interfaces() -> Vec<Interface> {
    let Ok(all) = getifaddrs() else {
        return Vec::new();
    };
    all.filter(|interface| {
        interface.flags.contains(InterfaceFlags::IFF_UP)
            && !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK)
    })
    .filter_map(|interface| {
        let address = interface.address?;
        let ip = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(v4), _) => IpAddr::V4(v4.ip()),
            (None, Some(v6)) => IpAddr::V6(v6.ip()),
            (None, None) => return None,
        };
        Some((interface.interface_name, ip))
    })
    .collect()
}

/// The interface of the default route in `/proc/net/route`.
fn default_v4(routes: &str) -> Option<&str> {
    let default = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let up = fields
            .get(3)
            .and_then(|f| u32::from_str_radix(f, 16).ok())?
            & 1
            != 0;
        let metric: u32 = fields.get(6)?.parse().ok()?;
        let everything = *fields.get(1)? == "00000000" && *fields.get(7)? == "00000000";
        (up && everything).then_some(metric)
    };
    lowest(routes, &default).and_then(|line| line.split_whitespace().next())
}

/// The interface of the default route in `/proc/net/ipv6_route`.
fn default_v6(routes: &str) -> Option<&str> {
    const UP: u32 = 1;
    const REJECT: u32 = 0x200;
    let default = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let flags = u32::from_str_radix(fields.get(8)?, 16).ok()?;
        let metric = u32::from_str_radix(fields.get(5)?, 16).ok()?;
        let zero = |field: &str| field.bytes().all(|b| b == b'0');
        let everything = zero(fields[0]) && zero(fields[1]);
        (everything && flags & UP != 0 && flags & REJECT == 0).then_some(metric)
    };
    lowest(routes, &default).and_then(|line| line.split_whitespace().nth(9))
}

/// The first line with the lowest metric.
fn lowest<'a>(routes: &'a str, metric: &dyn Fn(&&'a str) -> Option<u32>) -> Option<&'a str> {
    routes
        .lines()
        .filter_map(|line| Some((metric(&line)?, line)))
        .min_by_key(|(metric, _)| *metric)
        .map(|(_, line)| line)
}

/// One address a family: the default route's interface's, else the first there is. The family that
/// has a default route comes first.
fn choose(v4: Option<&str>, v6: Option<&str>, interfaces: &[Interface]) -> Vec<IpAddr> {
    let find = |route: Option<&str>, v4: bool| {
        let usable = || {
            let of_family = move |(_, ip): &&Interface| ip.is_ipv4() == v4 && is_global(*ip);
            interfaces.iter().filter(of_family)
        };
        let on_route = usable().find(|(name, _)| Some(name.as_str()) == route);
        on_route.or_else(|| usable().next()).map(|(_, ip)| *ip)
    };
    let (first, second) = (find(v4, true), find(v6, false));
    if v4.is_none() && v6.is_some() {
        second.into_iter().chain(first).collect()
    } else {
        first.into_iter().chain(second).collect()
    }
}

/// Whether others can reach an address: neither loopback nor link-local nor multicast.
fn is_global(ip: IpAddr) -> bool {
    let local = match ip {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(local || ip.is_loopback() || ip.is_unspecified() || ip.is_multicast())
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
eth0\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t0002A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
";
    const V6: &str = "\
fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth1
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
";

    fn interfaces() -> Vec<Interface> {
        [
            ("docker0", "172.17.0.1"),
            ("wlan0", "192.168.1.7"),
            ("eth0", "fe80::1"),
            ("eth0", "192.168.2.7"),
            ("eth1", "fe80::2"),
            ("eth1", "2001:db8::7"),
        ]
        .map(|(name, ip)| (name.to_owned(), ip.parse().expect("an address")))
        .into()
    }

    fn ips<const N: usize>(texts: [&str; N]) -> Vec<IpAddr> {
        texts.map(|t| t.parse().expect("an address")).into()
    }

    #[test]
    fn the_default_route_with_the_lowest_metric_counts() {
        assert_eq!(default_v4(V4), Some("eth0"));
        assert_eq!(default_v6(V6), Some("eth1"));
        assert_eq!(default_v4(""), None);
        assert_eq!(default_v6("garbage"), None);
    }

    #[test]
    fn one_address_a_family_is_chosen() {
        let both = ips(["192.168.2.7", "2001:db8::7"]);
        assert_eq!(choose(Some("eth0"), Some("eth1"), &interfaces()), both);
        let without = ips(["172.17.0.1", "2001:db8::7"]);
        assert_eq!(choose(None, None, &interfaces()), without);
        let six_first = ips(["2001:db8::7", "172.17.0.1"]);
        assert_eq!(choose(None, Some("eth1"), &interfaces()), six_first);
        assert_eq!(choose(Some("eth0"), None, &[]), ips([]));
    }
}
