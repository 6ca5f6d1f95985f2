//! The node's name and labels, as kubelet makes them.
//!
//! kubelet: `pkg/util/node.GetHostname` and `pkg/kubelet.initialNode`.

use std::collections::BTreeMap;

use super::Error;

/// The kernel's hostname, as it is.
pub(super) fn hostname() -> Result<String, Error> {
    let name = nix::unistd::gethostname().map_err(|source| Error::Hostname { source })?;
    Ok(name.to_string_lossy().into_owned())
}

/// The node's name: the configured one, or the hostname in lower case.
pub(super) fn name(configured: Option<&str>, hostname: &str) -> Result<String, Error> {
    let name = configured.unwrap_or(hostname).trim().to_lowercase();
    if is_subdomain(&name) {
        Ok(name)
    } else {
        Err(Error::BadName {
            hostname: hostname.to_owned(),
        })
    }
}

/// The node's labels: what it knows of itself, and the configuration's over that.
pub(super) fn labels(
    name: &str,
    architecture: &str,
    configured: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let own = [
        ("kubernetes.io/hostname", name),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", architecture),
        ("beta.kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", architecture),
    ];
    let mut labels: BTreeMap<String, String> = own
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    labels.extend(configured.clone());
    labels
}

/// This machine's architecture in Go's words, which are Kubernetes'.
#[must_use]
pub fn architecture() -> &'static str {
    let little = cfg!(target_endian = "little");
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "loongarch64" => "loong64",
        "powerpc64" if little => "ppc64le",
        "powerpc64" => "ppc64",
        "mips" if little => "mipsle",
        "mips64" if little => "mips64le",
        same => same,
    }
}

/// Whether text is an RFC 1123 subdomain.
fn is_subdomain(text: &str) -> bool {
    let outer = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let label = |part: &str| {
        let bytes = part.as_bytes();
        outer(bytes.first())
            && outer(bytes.last())
            && bytes.iter().all(|b| *b == b'-' || outer(Some(b)))
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_hostname_unless_configured() {
        assert_eq!(name(None, "Edge-17").expect("a name"), "edge-17");
        assert_eq!(name(Some("other"), "Edge_17").expect("a name"), "other");
        for bad in ["edge_17", "", "-a", "a.", &"a".repeat(254)] {
            assert!(name(None, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_configuration_overrides_what_the_node_knows() {
        let configured = [("kubernetes.io/arch", "fake"), ("zone", "a")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
        let labels = labels("edge-17", "arm64", &configured);
        let want: BTreeMap<String, String> = [
            ("beta.kubernetes.io/arch", "arm64"),
            ("beta.kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", "fake"),
            ("kubernetes.io/hostname", "edge-17"),
            ("kubernetes.io/os", "linux"),
            ("zone", "a"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
        assert_eq!(labels, want);
    }
}
