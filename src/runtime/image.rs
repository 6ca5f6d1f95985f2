//! Makes sure of images by their pull policy, as kubelet (pkg/kubelet/images/image_manager.go): `Always`
//! asks the registry, `IfNotPresent` only for an image that is not there, `Never` does not.
//!
//! While archives are imported that were there when the agent started, an image that is not there may
//! be in one of them: it is neither pulled nor given up before.
//!
//! Waits for no pull: pulls run in [`run_puller`]'s task, and asking again says how far they are.
//! Repeats no failed pull by itself; back-off is the planner's.
//!
//! Differs: under `Always`, when the registry cannot be reached (not: when it answers and refuses),
//! a present image is used, and the state says that it is stale. A node without network starts its pods.

mod auth;
mod cause;
mod lease;
mod node;
mod progress;
mod provider;
mod puller;
mod pulls;
mod stored;
mod unpack;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Runtime;
use super::error::Error;
use crate::api::ImageName;
use crate::cri;
use crate::model::{DesiredPod, Failure, ImageState, Outcome, PullFigures, Reason};

pub(super) use lease::Lease;
pub use node::NodeCredentials;
pub(super) use puller::PullSender;
use puller::{Answer, PullWish, Pulled};
pub use puller::{PullRequests, run_puller};
pub(super) use unpack::{Layer, Layers, UnpackError};

impl Runtime {
    /// Answers at once with the image's state; see the module.
    pub(super) async fn ensure_image(
        &self,
        pod: &Arc<DesiredPod>,
        image: &str,
        policy: &str,
    ) -> Result<Outcome, Error> {
        let name = match ImageName::parse(image) {
            Ok(name) => name,
            Err(problem) => return Ok(self.no_image("InvalidImageName", problem)),
        };
        // A runtime takes a short name for the beginning of an id where it is one.
        let full = name.to_string();
        let uid = &pod.key().uid;
        // A pull of this pod's that runs or has ended is answered for first: no other call is needed.
        let mut answer = self.inner.pulls.ask(uid, &full).await?;
        if answer == Answer::Unknown {
            let mut is_pulled = true;
            let present = self.inner.client.image_status(&full).await;
            let present = match present {
                Ok(present) => present,
                Err(error) if error.is_connection_lost() => return Err(error),
                Err(error) => return Ok(self.failed_image(error.reason())),
            };
            match (policy, present) {
                (_, None) if *self.inner.preloading.borrow() => {
                    return Ok(Outcome::Image(ImageState::Importing));
                }
                ("Never", None) => {
                    let problem =
                        format!("image {image:?} is not present and the pull policy is Never");
                    return Ok(self.no_image("ErrImageNeverPull", problem));
                }
                ("Always", _) | (_, None) => {}
                (_, Some(image)) if self.is_unpacked(&full).await? => {
                    return Ok(self.present(image, None, None));
                }
                (_, Some(_)) => is_pulled = false,
            }
            let wish = PullWish {
                auth: auth::Keyring::of_secrets(pod).credentials(&name),
                image: name,
                is_pulled,
                // The runtime takes hints for its snapshotter from it; a pod that cannot be
                // translated says so when its sandbox is made.
                sandbox: self.sandbox_config(pod, 0).await.ok().map(Arc::new),
            };
            answer = self.inner.pulls.begin(uid, wish).await?;
        }
        match answer {
            Answer::Running { since, progress } => {
                Ok(Outcome::Image(ImageState::Pulling { since, progress }))
            }
            Answer::Unpacking => Ok(Outcome::Image(ImageState::Unpacking)),
            Answer::Waiting => Ok(Outcome::Image(ImageState::Queued)),
            Answer::Ended(pulled) => self.after_pull(&full, policy, pulled).await,
            Answer::Unknown => Err(Error::PullsEnded),
        }
    }

    /// Whether a container can be made of a present image at once. Where that cannot be told, as with
    /// other runtimes, it is up to the runtime.
    async fn is_unpacked(&self, image: &str) -> Result<bool, Error> {
        let client = &self.inner.client;
        let asked = async {
            let Some(snapshotter) = client.snapshotter().await? else {
                return Ok(true);
            };
            match stored::layers(&client.channel(), image).await? {
                Some(layers) => layers.are_unpacked(client.channel(), &snapshotter).await,
                None => Ok(true),
            }
        };
        match asked.await {
            Ok(unpacked) => Ok(unpacked),
            Err(status) => {
                let (image, source) = (image.to_owned(), status);
                let error = Error::ImageStatus { image, source };
                match error.is_connection_lost() {
                    true => Err(error),
                    false => Ok(true),
                }
            }
        }
    }

    async fn after_pull(
        &self,
        image: &str,
        policy: &str,
        pulled: Pulled,
    ) -> Result<Outcome, Error> {
        let mut took = None;
        let stale = match pulled {
            Pulled::Done { took: time } => {
                took = time;
                None
            }
            Pulled::Failed {
                reason,
                unreachable,
            } if policy == "Always" && unreachable => Some(reason),
            Pulled::Failed { reason, .. } => return Ok(self.failed_image(reason)),
        };
        match self.inner.client.image_status(image).await {
            Ok(Some(present)) => Ok(self.present(present, stale, took)),
            Ok(None) => Ok(match stale {
                Some(reason) => self.failed_image(reason),
                None => {
                    let problem = format!("image {image:?} was pulled and is not there");
                    self.no_image("ErrImagePull", problem)
                }
            }),
            Err(error) if error.is_connection_lost() => Err(error),
            Err(error) => Ok(self.failed_image(error.reason())),
        }
    }

    /// Gives mounted images by their ids, as kubelet does: a name may come to mean another image.
    pub(super) async fn resolve_mounted(&self, mounts: &mut [cri::Mount]) -> Result<(), Error> {
        for image in mounts.iter_mut().filter_map(|mount| mount.image.as_mut()) {
            // What is no longer there the runtime names itself.
            if let Some(present) = self.inner.client.image_status(&image.image).await? {
                image.image = present.id;
            }
        }
        Ok(())
    }

    /// The image as it is there; `took` is the time of the pull that brought it.
    fn present(&self, image: cri::Image, stale: Option<Reason>, took: Option<Duration>) -> Outcome {
        let size = image.size;
        // As kubelet's getImageUser: an image that names no user runs as root.
        let nobody = image.username.is_empty().then_some(0);
        Outcome::Image(ImageState::Present {
            image_ref: image.id,
            uid: image.uid.map(|uid| uid.value).or(nobody),
            username: image.username,
            at: self.now(),
            stale,
            pulled: took.map(|took| PullFigures { took, size }),
        })
    }

    fn no_image(&self, word: &str, problem: String) -> Outcome {
        self.failed_image(Reason::new(word, problem))
    }

    fn failed_image(&self, reason: Reason) -> Outcome {
        // Times in a row are the planner's to count: it sees them all.
        Outcome::Image(ImageState::Failed(Failure {
            reason,
            times: 1,
            last: self.now(),
        }))
    }

    fn now(&self) -> Timestamp {
        (self.inner.clock)()
    }
}
