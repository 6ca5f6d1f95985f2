//! What stands in the pod's `/etc/resolv.conf`: dnsPolicy and dnsConfig over the host's own.
//!
//! Follows kubelet v1.36's `dns.Configurer`: policies, merging without duplicates, and the limits
//! of three servers, 32 search domains and 2048 characters of them.

use k8s_openapi::api::core::v1::PodDNSConfigOption;

use super::Host;
use crate::cri::DnsConfig;
use crate::model::DesiredPod;

const MAX_SERVERS: usize = 3;
const MAX_DOMAIN: usize = 253;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_CHARACTERS: usize = 2048;

/// The host's resolver configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// `nameserver` lines, in order.
    pub servers: Vec<String>,
    /// The last `search` line; kubelet does not read `domain`.
    pub searches: Vec<String>,
    /// The `options` lines; of one name the last.
    pub options: Vec<String>,
}

impl ResolvConf {
    /// Reads the text of a `resolv.conf`; what is not understood is passed over.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut parsed = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace().map(str::to_owned);
            match words.next().as_deref() {
                Some("nameserver") => parsed.servers.extend(words.next()),
                // The root domain alone is kept, a trailing dot otherwise dropped, as kubelet does.
                Some("search") => {
                    parsed.searches = words
                        .map(|w| match w.trim_end_matches('.') {
                            "" => ".".to_owned(),
                            domain => domain.to_owned(),
                        })
                        .collect();
                }
                Some("options") => words.for_each(|o| set_option(&mut parsed.options, o)),
                _ => {}
            }
        }
        parsed
    }
}

/// The resolver configuration of a pod.
#[must_use]
pub fn config(pod: &DesiredPod, resolv: &ResolvConf, host: &Host) -> DnsConfig {
    let spec = pod.spec();
    let host_network = spec.host_network == Some(true);
    let in_cluster = match spec.dns_policy.as_deref() {
        Some("ClusterFirstWithHostNet") => true,
        Some("ClusterFirst") | None => !host_network,
        _ => false,
    } && !host.settings.cluster_dns.is_empty();
    let mut dns = if spec.dns_policy.as_deref() == Some("None") {
        DnsConfig::default()
    } else if in_cluster {
        cluster(pod, resolv, host)
    } else if host.resolv_conf.as_os_str().is_empty() {
        nowhere(host)
    } else {
        DnsConfig {
            servers: resolv.servers.clone(),
            searches: resolv.searches.clone(),
            options: resolv.options.clone(),
        }
    };
    if let Some(own) = &spec.dns_config {
        append(&mut dns.servers, own.nameservers.as_deref());
        append(&mut dns.searches, own.searches.as_deref());
        merge_options(&mut dns.options, own.options.as_deref().unwrap_or_default());
    }
    fit(&mut dns);
    dns
}

/// Where there is no resolver configuration: a server that is not there, as kubelet has it. With none
/// named the runtime would give the host's.
fn nowhere(host: &Host) -> DnsConfig {
    let local = |v6: bool| if v6 { "::1" } else { "127.0.0.1" }.to_owned();
    let addresses = &host.node.addresses;
    let mut servers: Vec<String> = addresses.iter().map(|a| local(a.is_ipv6())).collect();
    if servers.is_empty() {
        servers.push(local(false));
    }
    DnsConfig {
        servers,
        searches: vec![".".to_owned()],
        options: Vec::new(),
    }
}

fn cluster(pod: &DesiredPod, resolv: &ResolvConf, host: &Host) -> DnsConfig {
    let domain = &host.settings.cluster_domain;
    let mut searches = Vec::new();
    if !domain.is_empty() {
        searches = vec![
            format!("{}.svc.{domain}", pod.key().namespace),
            format!("svc.{domain}"),
            domain.clone(),
        ];
    }
    append(&mut searches, Some(&resolv.searches));
    DnsConfig {
        servers: host.settings.cluster_dns.clone(),
        searches,
        options: vec!["ndots:5".to_owned()],
    }
}

/// Adds what is not there yet.
fn append(list: &mut Vec<String>, more: Option<&[String]>) {
    for item in more.unwrap_or_default() {
        if !list.contains(item) {
            list.push(item.clone());
        }
    }
}

/// Sets options by name, each `name` or `name:value`.
fn merge_options(options: &mut Vec<String>, own: &[PodDNSConfigOption]) {
    for option in own {
        let name = option.name.as_deref().unwrap_or_default();
        let text = match option.value.as_deref().filter(|v| !v.is_empty()) {
            Some(value) => format!("{name}:{value}"),
            None => name.to_owned(),
        };
        set_option(options, text);
    }
}

/// Sets one option, in the place of one of its name where there is one.
fn set_option(options: &mut Vec<String>, option: String) {
    let name = |o: &str| o.split(':').next().map(str::to_owned);
    match options.iter().position(|o| name(o) == name(&option)) {
        Some(at) => options[at] = option,
        None => options.push(option),
    }
}

fn fit(dns: &mut DnsConfig) {
    dns.servers.truncate(MAX_SERVERS);
    dns.searches.retain(|domain| domain.len() <= MAX_DOMAIN);
    dns.searches.truncate(MAX_SEARCHES);
    while dns.searches.join(" ").len() > MAX_SEARCH_CHARACTERS {
        dns.searches.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_is_read_as_kubelet_reads_it() {
        let text = "# c\ndomain x\nsearch a. b\nsearch c. . d\nnameserver 1.1.1.1\n\
                    options ndots:2 rotate\noptions ndots:3\n";
        let parsed = ResolvConf::parse(text);
        assert_eq!(parsed.servers, ["1.1.1.1"]);
        assert_eq!(parsed.searches, ["c", ".", "d"]);
        assert_eq!(parsed.options, ["ndots:3", "rotate"]);
    }
}
