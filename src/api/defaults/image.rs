//! When an image is pulled: what its reference says about its tag.

/// The pull policy for an image: `Always` for the tag `latest`, written or meant.
///
/// A reference that cannot be parsed has no tag, so it is `IfNotPresent`, like one with a digest.
pub(in crate::api) fn pull_policy(image: &str) -> &'static str {
    if is_latest(image) {
        "Always"
    } else {
        "IfNotPresent"
    }
}

fn is_latest(image: &str) -> bool {
    let (rest, digest) = match image.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (image, None),
    };
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return false;
    }
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    if !is_image_name(name) || tag.is_some_and(|tag| !is_tag(tag)) {
        return false;
    }
    match tag {
        Some(tag) => tag == "latest",
        None => digest.is_none(),
    }
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let first = tag.bytes().next().is_some_and(word);
    first && tag.len() <= 128 && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else {
        return false;
    };
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    hex.len() == length && is_lower_hex(hex)
}

/// Whether this is a repository name, with or without a registry in front.
fn is_image_name(name: &str) -> bool {
    // A bare id of 64 hexadecimal digits is no name.
    if name.is_empty() || name.len() > 255 || (name.len() == 64 && is_lower_hex(name)) {
        return false;
    }
    let (registry, path) = match name.split_once('/') {
        Some((first, path))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            (Some(first), path)
        }
        _ => (None, name),
    };
    registry.is_none_or(is_registry) && path.split('/').all(is_path_component)
}

fn is_registry(registry: &str) -> bool {
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (registry, None),
    };
    if port.is_some_and(|port| port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit())) {
        return false;
    }
    if let Some(address) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
    }
    host.split('.').all(|label| {
        let ends = [label.bytes().next(), label.bytes().last()];
        ends.iter()
            .all(|end| end.is_some_and(|b| b.is_ascii_alphanumeric()))
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    })
}

/// Lower-case letters and digits, joined by one `.`, one or two `_`, or any number of `-`.
fn is_path_component(component: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    component.starts_with(plain)
        && component.ends_with(plain)
        && component.split(plain).all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
        })
}

#[cfg(test)]
mod tests {
    use super::pull_policy;

    #[test]
    fn only_the_tag_latest_is_always_pulled() {
        let digest = format!("@sha256:{}", "ab".repeat(32));
        for image in [
            "x",
            "x:latest",
            "r.example:5000/a/b",
            "r.example:5000/a:latest",
        ] {
            assert_eq!(pull_policy(image), "Always", "{image}");
        }
        assert_eq!(pull_policy(&format!("x:latest{digest}")), "Always");
        for image in [
            "x:1",
            "x:LATEST",
            "",
            "a b",
            "X",
            "x:",
            "x@sha256:12",
            "https://r.example/x",
        ] {
            assert_eq!(pull_policy(image), "IfNotPresent", "{image}");
        }
        assert_eq!(pull_policy(&format!("x{digest}")), "IfNotPresent");
    }
}
