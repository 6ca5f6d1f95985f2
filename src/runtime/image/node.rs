//! Credentials that belong to the node and not to a pod: a docker `config.json`, and kubelet's
//! credential providers. They are tried after those of the pod's pull secrets, as kubelet does.
//!
//! Files are read anew for each pull, so a change needs no restart. What cannot be read keeps no
//! pull from being tried; it is told beside the failure of a pull that fails.

use std::cell::RefCell;
use std::path::PathBuf;

use jiff::Timestamp;

use super::auth::Keyring;
use super::provider::{Cache, Providers};
use crate::cri;

/// Where the node's credentials are.
#[derive(Debug, Clone, Default)]
pub struct NodeCredentials {
    /// A docker `config.json`.
    pub docker_config: Option<PathBuf>,
    /// kubelet's `CredentialProviderConfig`, and the directory of the programs it names.
    pub providers: Option<(PathBuf, PathBuf)>,
}

/// The node's credentials, with the answers of providers that are still good.
pub(super) struct Lookup {
    credentials: NodeCredentials,
    clock: fn() -> Timestamp,
    cache: RefCell<Cache>,
}

/// What there is for an image.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub auths: Vec<cri::AuthConfig>,
    pub problems: Vec<String>,
}

impl Lookup {
    pub fn new(credentials: NodeCredentials, clock: fn() -> Timestamp) -> Self {
        Self {
            credentials,
            clock,
            cache: RefCell::default(),
        }
    }

    /// The credentials for an image; may run a program and wait for it.
    pub async fn of_image(&self, image: &str) -> Found {
        let mut found = Found::default();
        if let Some(path) = &self.credentials.docker_config {
            let read = tokio::fs::read(path).await.map_err(|e| e.to_string());
            let keyring =
                read.and_then(|json| Keyring::of_docker_config(&json).map_err(|e| e.to_string()));
            match keyring {
                Ok(keyring) => found.auths.extend(keyring.credentials(image)),
                Err(error) => {
                    let problem = format!("dockerConfigFile {}: {error}", path.display());
                    found.problems.push(problem);
                }
            }
        }
        if let Some((file, directory)) = &self.credentials.providers {
            match Providers::read(file).await {
                Ok(providers) => {
                    for provider in providers.for_image(image) {
                        let now = (self.clock)();
                        match provider.ask(directory, image, &self.cache, now).await {
                            Ok(keyring) => found.auths.extend(keyring.credentials(image)),
                            Err(problem) => found.problems.push(problem),
                        }
                    }
                }
                Err(problem) => found.problems.push(problem),
            }
        }
        for problem in &found.problems {
            tracing::warn!("{problem}");
        }
        found
    }
}
