//! Leases: what is written into containerd under one its garbage collector leaves alone until
//! something refers to it.

use std::time::Duration;

use containerd_client::services::v1::leases_client::LeasesClient;
use containerd_client::services::v1::{CreateRequest, DeleteRequest, ListRequest};
use jiff::Timestamp;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::model::time::later;
use crate::runtime::containerd::{answer, in_namespace};

/// A lease that was left behind by an agent that was killed ends by itself.
const EXPIRE: &str = "containerd.io/gc.expire";
/// Whose it is.
const NODE: &str = "setlet.dev/node";
const LEASE: Duration = Duration::from_secs(24 * 3600);

/// A lease that was taken.
#[derive(Debug)]
pub(in crate::runtime) struct Lease {
    leases: LeasesClient<Channel>,
    id: String,
}

impl Lease {
    /// Takes one for the agent of a node, for a day at most; `purpose` begins its name.
    pub async fn take(
        channel: Channel,
        node: &str,
        purpose: &str,
        now: Timestamp,
    ) -> Result<Self, Status> {
        let mut leases = LeasesClient::new(channel);
        let id = format!("setlet-{purpose}-{}", Uuid::new_v4());
        let until = later(now, LEASE);
        let request = in_namespace(CreateRequest {
            id: id.clone(),
            labels: [
                (EXPIRE.to_owned(), until.to_string()),
                (NODE.to_owned(), node.to_owned()),
            ]
            .into(),
        });
        answer(leases.create(request)).await?;
        Ok(Self { leases, id })
    }

    /// Removes those that a killed agent of a node left; to be called when none runs.
    pub async fn remove_left(channel: &Channel, node: &str) -> Result<(), Status> {
        let mut leases = LeasesClient::new(channel.clone());
        let listed = answer(leases.list(in_namespace(ListRequest::default()))).await?;
        for lease in listed.into_inner().leases {
            if lease.labels.get(NODE).is_some_and(|of| of == node) {
                let request = in_namespace(DeleteRequest {
                    id: lease.id,
                    sync: false,
                });
                answer(leases.delete(request)).await?;
            }
        }
        Ok(())
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A request whose results it keeps.
    pub fn request<T>(&self, message: T) -> Result<Request<T>, Status> {
        let mut request = in_namespace(message);
        let id = MetadataValue::try_from(&self.id);
        let id = id.map_err(|error| Status::from_error(error.into()))?;
        request.metadata_mut().insert("containerd-lease", id);
        Ok(request)
    }

    /// Gives it back: what nothing refers to is containerd's to collect.
    pub async fn close(mut self) {
        let request = in_namespace(DeleteRequest {
            id: self.id,
            sync: false,
        });
        // It ends by itself, too.
        answer(self.leases.delete(request)).await.ok();
    }
}
