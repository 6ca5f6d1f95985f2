//! What names may look like: each rule says what is wrong, or nothing.
//!
//! The rules are those of `k8s.io/apimachinery/pkg/util/validation` and of the RFCs behind them.

fn lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_label(text: &str, inner: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    bytes.first().copied().is_some_and(lower)
        && bytes.last().copied().is_some_and(lower)
        && bytes.iter().all(|byte| lower(*byte) || inner(*byte))
}

/// A DNS label (RFC 1123).
pub(crate) fn label(text: &str) -> Option<String> {
    if text.len() <= 63 && is_label(text, |byte| byte == b'-') {
        return None;
    }
    Some(format!(
        "{text:?} is no valid name; use at most 63 lower-case letters, digits and '-', with a letter or digit at both ends"
    ))
}

/// A DNS subdomain (RFC 1123): labels joined by dots.
pub(crate) fn subdomain(text: &str) -> Option<String> {
    if text.len() <= 253
        && text
            .split('.')
            .all(|part| is_label(part, |byte| byte == b'-'))
    {
        return None;
    }
    Some(format!(
        "{text:?} is no valid name; use at most 253 lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"
    ))
}

/// The front of a DNS subdomain, to which something is appended: it may end in a dash.
pub(crate) fn subdomain_prefix(text: &str) -> Option<String> {
    match text.strip_suffix('-').filter(|rest| !rest.is_empty()) {
        Some(rest) => {
            let mut masked: String = rest.to_owned();
            masked.pop();
            subdomain(&format!("{masked}a"))
        }
        None => subdomain(text),
    }
}

/// A DNS subdomain in which `_` is allowed as well, at the front too.
pub(crate) fn search_domain(text: &str) -> Option<String> {
    let part = |part: &str| {
        let ok = |byte: u8| lower(byte) || byte == b'_';
        let bytes = part.as_bytes();
        bytes.first().copied().is_some_and(ok)
            && bytes.last().copied().is_some_and(ok)
            && bytes.iter().all(|byte| ok(*byte) || *byte == b'-')
    };
    if text.len() <= 253 && text.split('.').all(part) {
        return None;
    }
    Some(format!(
        "{text:?} is no valid search domain; use at most 253 lower-case letters, digits, '-', '_' and '.'"
    ))
}

/// The part of a key after the slash.
fn is_key_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    text.len() <= 63
        && end(bytes.first())
        && end(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// A qualified name, as keys of labels and annotations are: `name` or `domain/name`.
pub(crate) fn qualified(text: &str) -> Option<String> {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    if is_key_name(name) && prefix.is_none_or(|prefix| subdomain(prefix).is_none()) {
        return None;
    }
    Some(format!(
        "{text:?} is no valid key; use a name of at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends, and before it an optional domain and '/'"
    ))
}

/// The value of a label.
pub(crate) fn label_value(text: &str) -> Option<String> {
    if text.is_empty() || is_key_name(text) {
        return None;
    }
    Some(format!(
        "{text:?} is no valid label value; use at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends, or nothing"
    ))
}

/// The name of a port (an IANA service name).
pub(crate) fn port_name(text: &str) -> Option<String> {
    let fits = text.len() <= 15
        && text.bytes().all(|byte| lower(byte) || byte == b'-')
        && text.bytes().any(|byte| byte.is_ascii_lowercase())
        && !text.contains("--")
        && !text.starts_with('-')
        && !text.ends_with('-');
    (!fits).then(|| {
        format!(
            "{text:?} is no valid port name; use at most 15 lower-case letters, digits and single '-' inside, with at least one letter"
        )
    })
}

/// The name of an environment variable: printable ASCII without `=`.
pub(crate) fn variable(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'=');
    (!fits).then(|| {
        format!("{text:?} is no valid variable name; use printable ASCII characters other than '='")
    })
}

/// A key of a ConfigMap or Secret.
pub(crate) fn config_key(text: &str) -> Option<String> {
    let fits = !text.is_empty()
        && text.len() <= 253
        && !text.starts_with("..")
        && text != "."
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    (!fits).then(|| {
        format!(
            "{text:?} is no valid key; use at most 253 letters, digits, '-', '_' and '.', not beginning with '..'"
        )
    })
}

/// The name of an HTTP header.
pub(crate) fn header(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (!fits).then(|| format!("{text:?} is no valid header name; use letters, digits and '-'"))
}

/// A number of a port.
pub(crate) fn port(number: i64) -> Option<String> {
    (!(1..=65535).contains(&number)).then(|| format!("{number} is no port; use 1 to 65535"))
}

/// A user or group id.
pub(crate) fn id(number: i64) -> Option<String> {
    let max = i64::from(i32::MAX);
    (!(0..=max).contains(&number)).then(|| format!("{number} is out of range; use 0 to {max}"))
}

/// Permission bits.
pub(crate) fn mode(number: i64) -> Option<String> {
    (!(0..=0o777).contains(&number))
        .then(|| format!("{number} is out of range; use 0 to 0777 (511 in decimal)"))
}

/// A path without `..` in it.
pub(crate) fn no_backsteps(path: &str) -> Option<String> {
    path.split('/')
        .any(|part| part == "..")
        .then(|| format!("{path:?} must not contain '..'; write the path it leads to"))
}

/// A relative path without `..` in it.
pub(crate) fn relative(path: &str) -> Option<String> {
    if path.starts_with('/') {
        return Some(format!(
            "{path:?} must be relative; leave the '/' at the front out"
        ));
    }
    no_backsteps(path)
}

/// A relative path that does not begin with `..`, not even as part of a name.
pub(crate) fn volume_path(path: &str) -> Option<String> {
    relative(path).or_else(|| {
        path.starts_with("..")
            .then(|| format!("{path:?} must not begin with '..'; that is reserved"))
    })
}

/// An IP address in its strict form: no leading zeros, no IPv4 inside IPv6.
pub(crate) fn ip(text: &str) -> Option<String> {
    let fits = match text.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(_)) => true,
        Ok(std::net::IpAddr::V6(address)) => address.to_ipv4_mapped().is_none(),
        Err(_) => false,
    };
    (!fits).then(|| format!("{text:?} is no IP address; write it as 10.0.0.1 or fd00::1"))
}
