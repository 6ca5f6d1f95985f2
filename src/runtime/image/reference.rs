//! What an image's name says, and whether text is one: the grammar of the distribution project's `reference` package, which
//! kubelet and containerd read names by. Pure; resolves nothing.

/// The registry of images that name none.
pub(super) const DEFAULT_REGISTRY: &str = "docker.io";

const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;

/// Checks a name; an error says what is wrong with it.
pub(super) fn check(image: &str) -> Result<(), String> {
    let problem = |what: &str| Err(format!("image {image:?} is not a valid reference: {what}"));
    let (rest, digest) = match image.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (image, None),
    };
    if digest.is_some_and(|d| !is_digest(d)) {
        return problem("what follows @ is not a digest");
    }
    // A colon before the last slash is that of a port.
    let last = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[last..].find(':') {
        Some(colon) => (&rest[..last + colon], Some(&rest[last + colon + 1..])),
        None => (rest, None),
    };
    if tag.is_some_and(|t| !is_tag(t)) {
        return problem("a tag has letters, digits, '_', '.' and '-', at most 128");
    }
    let (domain, path) = match name.split_once('/') {
        Some((first, path)) if is_domain(first) => (Some(first), path),
        _ => (None, name),
    };
    if domain.is_some_and(|d| !is_host(d)) {
        return problem("the registry's name is not a host name");
    }
    if name.len() > MAX_NAME {
        return problem("a name has at most 255 characters");
    }
    if !path.split('/').all(is_component) {
        return problem("a name has lower-case letters, digits and single separators");
    }
    if domain.is_none() && digest.is_none() && tag.is_none() && is_id(name) {
        return problem("64 hexadecimal digits alone would be an id");
    }
    Ok(())
}

/// The image's name in full, without tag and digest: `docker.io/library/busybox`.
pub(super) fn repository(image: &str) -> String {
    let name = image.split('@').next().unwrap_or_default();
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let name = match name[last..].find(':') {
        Some(colon) => &name[..last + colon],
        None => name,
    };
    match name.split_once('/') {
        Some((host, _)) if host == "localhost" || host.contains(['.', ':']) => name.to_owned(),
        Some(_) => format!("{DEFAULT_REGISTRY}/{name}"),
        None => format!("{DEFAULT_REGISTRY}/library/{name}"),
    }
}

/// A name as containerd keeps images by: with registry, and with its digest or else its tag. An
/// error says what is wrong with it.
pub(in crate::runtime) fn in_full(image: &str) -> Result<String, String> {
    check(image)?;
    let repository = repository(image);
    if let Some((_, digest)) = image.split_once('@') {
        return Ok(format!("{repository}@{digest}"));
    }
    let last = image.rfind('/').map_or(0, |slash| slash + 1);
    let tag = image[last..]
        .split_once(':')
        .map_or("latest", |(_, tag)| tag);
    Ok(format!("{repository}:{tag}"))
}

/// The first part is a registry when it cannot be part of a path.
fn is_domain(first: &str) -> bool {
    first == "localhost"
        || first.contains(['.', ':'])
        || first.chars().any(|c| c.is_ascii_uppercase())
}

fn is_host(domain: &str) -> bool {
    let (host, port) = match domain.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (domain, None),
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let address = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let host_is_one = match address {
        Some(address) => address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'),
        None => host.split('.').all(label),
    };
    host_is_one && port.is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
}

/// Letters and digits with `.`, `_`, `__` or any number of `-` between them.
fn is_component(part: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = part.bytes().next().is_some_and(word) && part.bytes().next_back().is_some_and(word);
    ends && part
        .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .all(|s| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let first = tag.bytes().next();
    tag.len() <= MAX_TAG
        && first.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        && tag
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn is_digest(digest: &str) -> bool {
    let hex = |h: &str, length| h.len() == length && is_hex(h);
    match digest.split_once(':') {
        Some(("sha256", h)) => hex(h, 64),
        Some(("sha384", h)) => hex(h, 96),
        Some(("sha512", h)) => hex(h, 128),
        _ => false,
    }
}

fn is_id(name: &str) -> bool {
    name.len() == 64 && is_hex(name)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_people_write_are_valid() {
        let digest = format!("a@sha256:{}", "0a".repeat(32));
        for image in [
            "busybox",
            "busybox:1.36",
            "library/busybox:latest",
            "registry.k8s.io/kube-proxy:v1.36.2",
            "localhost:5000/a/b_c/d__e/f--g.h:T_a.g-1",
            "[::1]:5000/a",
            "127.0.0.1:1/a:b",
            "quay.io/cilium/cilium:v1.16.1",
            &digest,
        ] {
            assert_eq!(check(image), Ok(()), "{image}");
        }
    }

    #[test]
    fn names_are_completed() {
        assert_eq!(repository("busybox:1"), "docker.io/library/busybox");
        assert_eq!(repository("a/b@sha256:0"), "docker.io/a/b");
        assert_eq!(repository("localhost:5000/a:b"), "localhost:5000/a");
    }

    #[test]
    fn what_cannot_be_a_name_is_refused() {
        let id = "0a".repeat(32);
        for image in [
            "",
            " ",
            "a ",
            " a",
            "Busybox",
            "a:",
            "a:b c",
            "a@",
            "a@sha256:0",
            "a//b",
            "-a",
            "a_",
            "a___b",
            "a..b",
            "/a",
            "a/",
            "http://a/b",
            "a:b:c",
            "x.io:port/a",
            &id,
        ] {
            assert!(check(image).is_err(), "{image:?}");
        }
    }
}
