//! Which credentials are for an image: pure, values in, credentials out. [`Keyring`] holds those of
//! a pod's pull secrets, of a docker config file, or of what a credential provider answered.
//!
//! As kubelet's credential keyring (pkg/credentialprovider): entries of `kubernetes.io/dockerconfigjson`
//! and `kubernetes.io/dockercfg` secrets, the longest matching name first, a host matched label by
//! label with `*` inside a label, a path by its beginning. A secret that is not there or does not
//! parse is left out.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::api::ImageName;
use crate::cri;
use crate::model::DesiredPod;

/// The registry of images that name none.
const DEFAULT_REGISTRY: &str = "docker.io";
/// The name that `docker login` keeps it under.
const DEFAULT_KEY: &str = "index.docker.io";

/// What one registry wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Entry {
    username: String,
    password: String,
    auth: String,
    identitytoken: String,
    registrytoken: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    auths: BTreeMap<String, Entry>,
}

/// Credentials by the registries they are for.
#[derive(Debug, Clone, Default)]
pub(super) struct Keyring(Vec<(String, Entry)>);

impl Keyring {
    /// Those of a pod's pull secrets.
    pub fn of_secrets(pod: &DesiredPod) -> Self {
        let mut keyring = Self::default();
        for reference in pod.spec().image_pull_secrets.iter().flatten() {
            let secret = pod.references.secrets.get(&reference.name);
            let Some(data) = secret.and_then(|s| s.data.as_ref()) else {
                continue;
            };
            let read = match (data.get(".dockerconfigjson"), data.get(".dockercfg")) {
                (Some(json), _) => {
                    serde_json::from_slice(&json.0).map(|config: Config| config.auths)
                }
                (None, Some(json)) => serde_json::from_slice(&json.0),
                (None, None) => continue,
            };
            keyring.extend(read.unwrap_or_default());
        }
        keyring
    }

    /// Those of a docker `config.json`.
    pub fn of_docker_config(json: &[u8]) -> Result<Self, serde_json::Error> {
        let config: Config = serde_json::from_slice(json)?;
        let mut keyring = Self::default();
        keyring.extend(config.auths);
        Ok(keyring)
    }

    /// Those of a map from registries to entries.
    pub fn of_entries(entries: BTreeMap<String, Entry>) -> Self {
        let mut keyring = Self::default();
        keyring.extend(entries);
        keyring
    }

    fn extend(&mut self, named: BTreeMap<String, Entry>) {
        let named = named.into_iter();
        self.0
            .extend(named.map(|(name, entry)| (key(&name), entry)));
    }

    /// The credentials to try for an image, in order; none means to ask without.
    pub fn credentials(self, image: &ImageName) -> Vec<cri::AuthConfig> {
        let mut entries = self.0;
        // Stable: of equal names the earlier secret's comes first.
        entries.sort_by(|(a, _), (b, _)| b.cmp(a));
        let repository = image.repository();
        let by_name = |name: &str| name == DEFAULT_KEY && image.domain() == DEFAULT_REGISTRY;
        let found = entries.iter().any(|(name, _)| matches(name, &repository));
        entries
            .into_iter()
            .filter(|(name, _)| matches(name, &repository) || (!found && by_name(name)))
            .map(|(_, entry)| cri::AuthConfig {
                username: entry.username,
                password: entry.password,
                auth: entry.auth,
                identity_token: entry.identitytoken,
                registry_token: entry.registrytoken,
                ..Default::default()
            })
            .collect()
    }
}

/// A registry as configurations name it, without scheme and API version.
fn key(name: &str) -> String {
    let name = name
        .strip_prefix("https://")
        .or_else(|| name.strip_prefix("http://"))
        .unwrap_or(name);
    let (host, path) = name.split_once('/').unwrap_or((name, ""));
    let path = match path {
        "v1" | "v2" => "",
        path => path
            .strip_prefix("v1/")
            .or_else(|| path.strip_prefix("v2/"))
            .unwrap_or(path),
    };
    let key = format!("{host}/{path}");
    key.trim_end_matches('/').to_owned()
}

/// Whether a registry or repository, perhaps with `*`, is that of a repository.
pub(super) fn matches(key: &str, repository: &str) -> bool {
    let (host, path) = key.split_once('/').unwrap_or((key, ""));
    let (image_host, image_path) = repository.split_once('/').unwrap_or((repository, ""));
    let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
    let (image_name, image_port) = image_host.rsplit_once(':').unwrap_or((image_host, ""));
    let labels: Vec<_> = name.split('.').collect();
    let image_labels: Vec<_> = image_name.split('.').collect();
    port == image_port
        && image_path.starts_with(path)
        && labels.len() == image_labels.len()
        && labels.iter().zip(image_labels).all(|(a, b)| glob(a, b))
}

/// Whether a label matches one with any number of `*`.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|text| {
            (0..=text.len())
                .filter(|at| text.is_char_boundary(*at))
                .any(|at| glob(rest, &text[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::ByteString;
    use k8s_openapi::api::core::v1::{LocalObjectReference, Pod, PodSpec, Secret};

    use super::*;
    use crate::api::{ObjectKey, PodKey, Revision, Uid};
    use crate::model::{BackOff, Goal, PodRecord, References};

    fn pod(secrets: &[(&str, &str, &str)]) -> DesiredPod {
        let key = PodKey {
            namespace: "default".into(),
            name: "a".into(),
            uid: Uid::new("u"),
        };
        let names = secrets.iter().map(|(name, ..)| LocalObjectReference {
            name: (*name).into(),
        });
        let spec = PodSpec {
            image_pull_secrets: Some(names.collect()),
            ..Default::default()
        };
        let record = PodRecord {
            renewals: BTreeMap::default(),
            set: ObjectKey::new("default", "a"),
            key,
            revision: Revision::new("r"),
            pod: Pod {
                spec: Some(spec),
                ..Default::default()
            },
            created_at: jiff::Timestamp::UNIX_EPOCH,
            ending_since: None,
            evicted: None,
        };
        let secret = |field: &str, json: &str| Secret {
            data: Some([(field.into(), ByteString(json.into()))].into()),
            ..Default::default()
        };
        let secrets = secrets
            .iter()
            .filter(|(_, field, _)| !field.is_empty())
            .map(|(name, field, json)| ((*name).into(), Arc::new(secret(field, json))));
        DesiredPod {
            record: Arc::new(record),
            goal: Goal::Run,
            references: Arc::new(References {
                secrets: secrets.collect(),
                ..Default::default()
            }),
            held: Vec::new(),
            ports: Vec::new(),
            back_off: BackOff::default(),
            look_at: None,
            term: None,
        }
    }

    fn name(image: &str) -> ImageName {
        ImageName::parse(image).unwrap()
    }

    #[test]
    fn the_longest_name_comes_first_and_what_cannot_be_read_is_left_out() {
        let pod = pod(&[
            ("missing", "", ""),
            ("broken", ".dockerconfigjson", "{"),
            (
                "old",
                ".dockercfg",
                r#"{"r.io": {"auth": "b2xk", "email": "x"}}"#,
            ),
            (
                "new",
                ".dockerconfigjson",
                r#"{"auths": {"https://r.io/team": {"username": "u", "password": "p"},
                    "https://index.docker.io/v1/": {"username": "hub"}}}"#,
            ),
        ]);
        let users = |image: &str| -> Vec<String> {
            let found = Keyring::of_secrets(&pod)
                .credentials(&name(image))
                .into_iter();
            found.map(|a| a.username + &a.auth).collect()
        };
        assert_eq!(users("r.io/team/a:b"), ["u", "b2xk"]);
        assert_eq!(users("r.io/a"), ["b2xk"]);
        for image in [
            "busybox",
            "docker.io/busybox",
            "index.docker.io/library/busybox",
        ] {
            assert_eq!(users(image), ["hub"], "{image}");
        }
        assert_eq!(users("quay.io/a"), [""; 0]);
    }

    #[test]
    fn registries_are_named_in_many_ways() {
        assert_eq!(key("https://index.docker.io/v1/"), "index.docker.io");
        assert_eq!(key("http://r.io:5000/v2/a/b"), "r.io:5000/a/b");
        assert_eq!(key("r.io"), "r.io");
    }

    #[test]
    fn names_match_as_kubelets() {
        for (key, image, is_match) in [
            ("r.io", "r.io/a:b", true),
            ("r.io", "r.io:5000/a", false),
            ("r.io:5000", "r.io:5000/a", true),
            ("*.r.io", "eu.r.io/a", true),
            ("*.r.io", "r.io/a", false),
            ("*.r.io", "a.b.r.io/a", false),
            ("e*.r.io", "eu.r.io/a", true),
            ("r.io/team", "r.io/team/a", true),
            ("r.io/team", "r.io/other/a", false),
            ("docker.io", "busybox", true),
            ("docker.io", "index.docker.io/library/busybox", true),
            ("docker.io/library/busybox", "docker.io/busybox:1", true),
        ] {
            assert_eq!(
                matches(key, &name(image).repository()),
                is_match,
                "{key} {image}"
            );
        }
    }
}
