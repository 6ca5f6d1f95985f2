//! Names of images, by the grammar of the distribution project's `reference` package, which kubelet and
//! containerd read names by. Whatever compares names compares them as [`ImageName`] writes them.

use std::fmt;

/// The registry of images that name none.
const DEFAULT_DOMAIN: &str = "docker.io";
/// What that was called once; docker still writes it.
const LEGACY_DOMAIN: &str = "index.docker.io";
/// Where the default registry keeps names of one part.
const OFFICIAL: &str = "library/";
const MAX_PATH: usize = 255;
const MAX_TAG: usize = 128;

/// A valid name, with its registry and its path in full: `busybox` is `docker.io` and
/// `library/busybox`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageName {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl ImageName {
    /// Reads a name as pods, credentials and archives write it.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(image: &str) -> Result<Self, String> {
        parts(image)
            .map_err(|problem| format!("image {image:?} is not a valid reference: {problem}"))
    }

    /// Registry and path, for example `docker.io/library/busybox`.
    #[must_use]
    pub fn repository(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The registry, with its port where it has one.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The path at the registry.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The repository with a digest, for example `docker.io/library/busybox@sha256:…`.
    #[must_use]
    pub fn with_digest(&self, digest: &str) -> String {
        format!("{}/{}@{digest}", self.domain, self.path)
    }

    /// Whether the tag is `latest`, written or meant.
    #[must_use]
    pub fn is_latest(&self) -> bool {
        match &self.tag {
            Some(tag) => tag == "latest",
            None => self.digest.is_none(),
        }
    }

    /// An image's name in full, which is how runtimes keep it; text that is no name is left as it is.
    #[must_use]
    pub fn in_full(image: &str) -> String {
        Self::parse(image).map_or_else(|_| image.to_owned(), |name| name.to_string())
    }
}

/// As containerd keeps images: with the digest or else the tag, not with both.
impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, path, .. } = self;
        match (&self.digest, &self.tag) {
            (Some(digest), _) => write!(f, "{domain}/{path}@{digest}"),
            (None, Some(tag)) => write!(f, "{domain}/{path}:{tag}"),
            (None, None) => write!(f, "{domain}/{path}:latest"),
        }
    }
}

fn parts(image: &str) -> Result<ImageName, &'static str> {
    if image.len() == 64 && is_hex(image) {
        return Err("64 hexadecimal digits alone would be an id");
    }
    let (rest, digest) = match image.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (image, None),
    };
    let (domain, rest) = domain(rest);
    let (path, tag) = match rest.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (rest, None),
    };
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err("what follows @ is not a digest");
    }
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err("a tag has letters, digits, '_', '.' and '-', at most 128");
    }
    if !is_domain(domain) {
        return Err("the registry's name is not a host name");
    }
    if !path.split('/').all(is_component) {
        return Err("a name has lower-case letters, digits and single separators");
    }
    let path = match domain == DEFAULT_DOMAIN && !path.contains('/') {
        true => format!("{OFFICIAL}{path}"),
        false => path.to_owned(),
    };
    if path.len() > MAX_PATH {
        return Err("a name has at most 255 characters");
    }
    Ok(ImageName {
        domain: domain.to_owned(),
        path,
        tag: tag.map(str::to_owned),
        digest: digest.map(str::to_owned),
    })
}

/// The registry and what is behind it: the first part is one when it cannot be part of a path.
fn domain(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((LEGACY_DOMAIN, rest)) => (DEFAULT_DOMAIN, rest),
        Some((first, rest))
            if first == "localhost"
                || first.contains(['.', ':'])
                || first.chars().any(char::is_uppercase) =>
        {
            (first, rest)
        }
        _ => (DEFAULT_DOMAIN, name),
    }
}

fn is_domain(domain: &str) -> bool {
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
        Some(address) => {
            !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':')
        }
        None => host.split('.').all(label),
    };
    host_is_one && port.is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
}

/// Lower-case letters and digits, with `.`, `_`, `__` or any number of `-` between them.
fn is_component(part: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.starts_with(word)
        && part.ends_with(word)
        && part
            .split(word)
            .all(|s| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= MAX_TAG
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

/// A digest by one of the three algorithms there are.
#[must_use]
pub fn is_digest(digest: &str) -> bool {
    let length = match digest.split_once(':') {
        Some(("sha256", _)) => 64,
        Some(("sha384", _)) => 96,
        Some(("sha512", _)) => 128,
        _ => return false,
    };
    let hex = &digest["sha256:".len()..];
    hex.len() == length && is_hex(hex)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_name_is_one_name() {
        let hex = "0a".repeat(32);
        let digest = format!("@sha256:{hex}");
        for (full, spellings) in [
            (
                "docker.io/library/busybox:latest",
                &[
                    "busybox",
                    "busybox:latest",
                    "library/busybox",
                    "docker.io/busybox",
                    "docker.io/library/busybox",
                    "index.docker.io/busybox:latest",
                    "index.docker.io/library/busybox",
                ][..],
            ),
            // Hexadecimal digits may be the beginning of an id; of 64 there is more to say.
            ("docker.io/library/f7:latest", &["f7", "f7:latest"]),
            (
                &format!("docker.io/library/{hex}:v1"),
                &[&format!("{hex}:v1")],
            ),
            (
                "docker.io/team/app:v1",
                &["team/app:v1", "index.docker.io/team/app:v1"],
            ),
            ("localhost/app:v1", &["localhost/app:v1"]),
            ("docker.io/library/localhost:5000", &["localhost:5000"]),
            ("localhost:5000/app:latest", &["localhost:5000/app"]),
            ("UPPER/app:latest", &["UPPER/app"]),
            ("[::1]:5000/a:T_a.g-1", &["[::1]:5000/a:T_a.g-1"]),
            (
                "r.io/b_c/d__e/f--g.h:latest",
                &["r.io/b_c/d__e/f--g.h:latest"],
            ),
            (
                &format!("docker.io/library/app{digest}"),
                &[
                    &format!("app{digest}"),
                    &format!("app:v1{digest}"),
                    &format!("docker.io/app:v2{digest}"),
                ],
            ),
        ] {
            for spelling in spellings {
                let name = ImageName::parse(spelling).map(|name| name.to_string());
                assert_eq!(name.as_deref(), Ok(full), "{spelling}");
                assert_eq!(ImageName::in_full(full), full);
            }
        }
    }

    #[test]
    fn a_repository_has_no_tag_and_no_digest() {
        for (image, repository) in [
            ("busybox:1", "docker.io/library/busybox"),
            ("docker.io/busybox:1", "docker.io/library/busybox"),
            ("a/b", "docker.io/a/b"),
            ("localhost:5000/a:b", "localhost:5000/a"),
        ] {
            let name = ImageName::parse(image).unwrap();
            assert_eq!(name.repository(), repository);
            assert_eq!(format!("{}/{}", name.domain(), name.path()), repository);
        }
    }

    #[test]
    fn what_cannot_be_a_name_is_refused() {
        let hex = "0a".repeat(32);
        let upper = format!("a@sha256:{}", hex.to_uppercase());
        let short = format!("a@sha512:{hex}");
        let unknown = format!("a@md5:{hex}");
        let twice = format!("a@sha256:{hex}@sha256:{hex}");
        let long = "a".repeat(256);
        let long_tag = format!("a:{}", "b".repeat(129));
        for image in [
            "",
            " ",
            "a ",
            " a",
            "Busybox",
            "r.io/Busybox",
            "a:",
            "a:b c",
            "a:-b",
            "a@",
            "a@sha256:0",
            "a//b",
            "-a",
            "a_",
            "a___b",
            "a..b",
            "a._b",
            "/a",
            "a/",
            "docker.io/",
            "http://a/b",
            "a:b:c",
            "x.io:port/a",
            "x.io:/a",
            "-x.io/a",
            "x..io/a",
            "[]/a",
            "[::g]/a",
            "ä/b",
            &hex,
            &upper,
            &short,
            &unknown,
            &twice,
            &long,
            &long_tag,
        ] {
            assert!(ImageName::parse(image).is_err(), "{image:?}");
            assert_eq!(ImageName::in_full(image), image);
        }
    }
}
