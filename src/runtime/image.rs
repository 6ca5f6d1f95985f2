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
mod node;
mod progress;
mod provider;
mod puller;
mod pulls;
mod reference;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Runtime;
use super::error::Error;
use super::execute::sandbox_config;
use crate::cri;
use crate::model::{DesiredPod, Failure, ImageState, Outcome, PullFigures, Reason};

pub use node::NodeCredentials;
pub(super) use puller::PullSender;
use puller::{Answer, PullWish, Pulled};
pub use puller::{PullRequests, run_puller};
pub(super) use reference::in_full;

impl Runtime {
    /// Answers at once with the image's state; see the module.
    pub(super) async fn ensure_image(
        &self,
        pod: &DesiredPod,
        image: &str,
        policy: &str,
    ) -> Result<Outcome, Error> {
        if let Err(problem) = reference::check(image) {
            return Ok(self.no_image("InvalidImageName", problem));
        }
        let uid = &pod.key().uid;
        // A pull of this pod's that runs or has ended is answered for first: no other call is needed.
        let mut answer = self.inner.pulls.ask(uid, image).await?;
        if answer == Answer::Unknown {
            let present = self.inner.client.image_status(image).await;
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
                (_, Some(image)) => return Ok(self.present(image, None, None)),
            }
            let wish = PullWish {
                image: image.to_owned(),
                // The runtime takes hints for its snapshotter from it; a pod that cannot be
                // translated says so when its sandbox is made.
                sandbox: sandbox_config(pod, 0, &self.host()).ok().map(Arc::new),
                auth: auth::Keyring::of_secrets(pod).credentials(image),
            };
            answer = self.inner.pulls.begin(uid, wish).await?;
        }
        match answer {
            Answer::Running { since, progress } => {
                Ok(Outcome::Image(ImageState::Pulling { since, progress }))
            }
            Answer::Ended(pulled) => self.after_pull(image, policy, pulled).await,
            Answer::Unknown => Err(Error::PullsEnded),
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
                took = Some(time);
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
