//! Credentials that belong to the node and not to a pod: a docker `config.json`, and kubelet's
//! credential providers. They are tried after those of the pod's pull secrets, as kubelet does.
//!
//! Files are read anew for each pull, so a change needs no restart. What cannot be read keeps no
//! pull from being tried; it is told beside the failure of a pull that fails.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::auth::Keyring;
use super::provider::{Cache, Providers};
use crate::api::ImageName;
use crate::blocking::{Blocking, Lane};
use crate::cri;
use crate::files;

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
    /// The threads that read its files.
    blocking: Blocking,
}

/// What there is for an image.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub auths: Vec<cri::AuthConfig>,
    pub problems: Vec<String>,
}

impl Lookup {
    pub fn new(credentials: NodeCredentials, clock: fn() -> Timestamp, blocking: Blocking) -> Self {
        Self {
            credentials,
            clock,
            cache: RefCell::default(),
            blocking,
        }
    }

    /// The credentials for an image; may run a program and wait for it.
    pub async fn of_image(&self, image: &ImageName) -> Found {
        let mut found = Found::default();
        if let Some(path) = &self.credentials.docker_config {
            let read = read(path, &self.blocking).await.map_err(|e| e.to_string());
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
            match Providers::read(file, &self.blocking).await {
                Ok(providers) => {
                    for provider in providers.for_image(image) {
                        let now = (self.clock)();
                        let (cache, blocking) = (&self.cache, &self.blocking);
                        match provider.ask(directory, image, cache, blocking, now).await {
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

/// A file of credentials, which may lie on a mount that does not answer.
pub(super) async fn read(path: &Path, blocking: &Blocking) -> io::Result<Vec<u8>> {
    on_file(path, blocking, |path| {
        files::read_trusted(path, files::CONFIGURATION)
    })
    .await
}

/// Does something with a file of the node's credentials, on a thread.
pub(super) async fn on_file<T: Send + 'static>(
    path: &Path,
    blocking: &Blocking,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let path = path.to_owned();
    let lane = Lane::own(path.display().to_string());
    let done = blocking.run(lane, move |_| work(&path)).await;
    done.unwrap_or_else(|why| Err(io::Error::other(why)))
}
