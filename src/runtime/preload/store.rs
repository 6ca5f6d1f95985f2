//! containerd's side of an import: content, images and the lease that keeps them from its garbage
//! collector until the images refer to them.
//!
//! Images are made without CRI's label: CRI hears of them, adds it and gives them their ids. It
//! unpacks an image when the first container is made of it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use containerd_client::services::v1::content_client::ContentClient;
use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::leases_client::LeasesClient;
use containerd_client::services::v1::{
    CreateImageRequest, CreateRequest, DeleteRequest, Image, Info, ListImagesRequest,
    UpdateImageRequest, UpdateRequest, WriteAction, WriteContentRequest, WriteContentResponse,
};
use containerd_client::types::Descriptor;
use futures_util::stream;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};

use super::error::{Problem, while_doing};
use super::layout::{Document, Target};
use crate::runtime::containerd::in_namespace;

/// The label that says which archive an image came from.
pub(super) const ARCHIVE: &str = "setlet.dev/archive";
/// A lease that was left behind by an agent that was killed ends by itself.
const EXPIRE: &str = "containerd.io/gc.expire";
const LEASE_HOURS: i64 = 24;
/// How long containerd may take for one answer.
const ANSWER: Duration = Duration::from_secs(120);

/// An image as containerd has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Present {
    /// The archive it came from, where it did.
    pub archive: Option<String>,
    /// When it was made or replaced, in seconds.
    pub updated: i64,
}

/// containerd during one import.
pub(super) struct Store {
    content: ContentClient<Channel>,
    images: ImagesClient<Channel>,
    leases: LeasesClient<Channel>,
    lease: String,
}

/// A file on its way into the content store.
pub(super) struct Upload {
    requests: mpsc::Sender<WriteContentRequest>,
    answers: Streaming<WriteContentResponse>,
    written: i64,
}

async fn answer<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    match tokio::time::timeout(ANSWER, call).await {
        Ok(answer) => answer,
        Err(_) => Err(Status::deadline_exceeded("no answer")),
    }
}

/// The images containerd has, by name.
pub(super) async fn present(channel: Channel) -> Result<BTreeMap<String, Present>, Problem> {
    let mut images = ImagesClient::new(channel);
    let request = in_namespace(ListImagesRequest::default());
    let listed = answer(images.list(request)).await;
    let listed = listed
        .map_err(while_doing("listing images"))?
        .into_inner()
        .images
        .into_iter();
    Ok(listed
        .map(|image| {
            let present = Present {
                archive: image.labels.get(ARCHIVE).cloned(),
                updated: image.updated_at.map_or(0, |at| at.seconds),
            };
            (image.name, present)
        })
        .collect())
}

impl Store {
    /// Begins an import: what it writes is kept until [`Self::close`], or for a day.
    pub async fn open(channel: Channel, lease: String, now: Timestamp) -> Result<Self, Problem> {
        let mut store = Self {
            content: ContentClient::new(channel.clone()),
            images: ImagesClient::new(channel.clone()),
            leases: LeasesClient::new(channel),
            lease,
        };
        let until = now.saturating_add(SignedDuration::from_hours(LEASE_HOURS));
        let request = in_namespace(CreateRequest {
            id: store.lease.clone(),
            labels: [(EXPIRE.to_owned(), until.unwrap_or(now).to_string())].into(),
        });
        answer(store.leases.create(request))
            .await
            .map_err(while_doing("taking a lease"))?;
        Ok(store)
    }

    /// Ends it: what no image refers to is containerd's to collect.
    pub async fn close(mut self) {
        let request = in_namespace(DeleteRequest {
            id: self.lease.clone(),
            sync: false,
        });
        // It ends by itself, too.
        answer(self.leases.delete(request)).await.ok();
    }

    /// Begins a file; none when containerd has one of that digest already.
    pub async fn begin(
        &mut self,
        number: usize,
        size: u64,
        digest: Option<String>,
    ) -> Result<Option<Upload>, Problem> {
        let (requests, queue) = mpsc::channel(1);
        let first = WriteContentRequest {
            action: WriteAction::Stat.into(),
            r#ref: format!("{}-{number}", self.lease),
            total: whole(size),
            expected: digest.unwrap_or_default(),
            ..Default::default()
        };
        requests.try_send(first).ok();
        let queue = stream::unfold(queue, |mut queue| async move {
            queue.recv().await.map(|request| (request, queue))
        });
        let request = self.leased(queue)?;
        let begun = answer(async {
            let mut answers = self.content.write(request).await?.into_inner();
            answers.message().await?;
            Ok(answers)
        });
        match begun.await {
            Ok(answers) => Ok(Some(Upload {
                requests,
                answers,
                written: 0,
            })),
            Err(status) if status.code() == Code::AlreadyExists => Ok(None),
            Err(status) => Err(while_doing("beginning to write content")(status)),
        }
    }

    /// Stores a document.
    pub async fn put(&mut self, number: usize, document: Document) -> Result<(), Problem> {
        let size = document.bytes.len() as u64;
        let labels: HashMap<String, String> = document.labels.into_iter().collect();
        let digest = document.digest;
        if let Some(mut upload) = self.begin(number, size, Some(digest.clone())).await? {
            upload.write(document.bytes).await?;
            return upload.commit(digest, labels).await;
        }
        if labels.is_empty() {
            return Ok(());
        }
        // It may have been stored by something that did not label it.
        let paths = labels.keys().map(|key| format!("labels.{key}")).collect();
        let request = in_namespace(UpdateRequest {
            info: Some(Info {
                digest,
                labels,
                ..Default::default()
            }),
            update_mask: Some(prost_types::FieldMask { paths }),
        });
        answer(self.content.update(request))
            .await
            .map(drop)
            .map_err(while_doing("labelling content"))
    }

    /// Makes an image of a name, or turns the name to it.
    pub async fn name(&mut self, name: &str, target: &Target) -> Result<(), Problem> {
        let image = Image {
            name: name.to_owned(),
            target: Some(Descriptor {
                media_type: target.kind().to_owned(),
                digest: target.digest.clone(),
                size: whole(target.size),
                ..Default::default()
            }),
            ..Default::default()
        };
        let request = CreateImageRequest {
            image: Some(image.clone()),
            ..Default::default()
        };
        let request = self.leased(request)?;
        match answer(self.images.create(request)).await {
            Ok(_) => Ok(()),
            Err(status) if status.code() == Code::AlreadyExists => {
                self.update(image, "target").await
            }
            Err(status) => Err(while_doing("making an image")(status)),
        }
    }

    /// Notes which archive an image came from.
    pub async fn mark(&mut self, name: &str, archive: &str) -> Result<(), Problem> {
        let image = Image {
            name: name.to_owned(),
            labels: [(ARCHIVE.to_owned(), archive.to_owned())].into(),
            // Not changed, for it is not in the mask; but containerd from 1.7 on ends with a panic
            // when it is absent.
            target: Some(Descriptor::default()),
            ..Default::default()
        };
        self.update(image, &format!("labels.{ARCHIVE}")).await
    }

    async fn update(&mut self, image: Image, field: &str) -> Result<(), Problem> {
        let request = self.leased(UpdateImageRequest {
            image: Some(image),
            update_mask: Some(prost_types::FieldMask {
                paths: vec![field.to_owned()],
            }),
            ..Default::default()
        })?;
        answer(self.images.update(request))
            .await
            .map(drop)
            .map_err(while_doing("changing an image"))
    }

    fn leased<T>(&self, message: T) -> Result<Request<T>, Problem> {
        let mut request = in_namespace(message);
        let lease = MetadataValue::try_from(&self.lease)
            .map_err(|error| while_doing("naming a lease")(Status::from_error(error.into())))?;
        request.metadata_mut().insert("containerd-lease", lease);
        Ok(request)
    }
}

impl Upload {
    /// Adds to the file.
    pub async fn write(&mut self, data: Vec<u8>) -> Result<(), Problem> {
        let length = whole(data.len() as u64);
        let request = WriteContentRequest {
            action: WriteAction::Write.into(),
            offset: self.written,
            data,
            ..Default::default()
        };
        self.send(request)
            .await
            .map_err(while_doing("writing content"))?;
        self.written += length;
        Ok(())
    }

    /// Ends the file; a digest that is not its own is refused by containerd.
    pub async fn commit(
        mut self,
        digest: String,
        labels: HashMap<String, String>,
    ) -> Result<(), Problem> {
        let request = WriteContentRequest {
            action: WriteAction::Commit.into(),
            total: self.written,
            offset: self.written,
            expected: digest,
            labels,
            ..Default::default()
        };
        match self.send(request).await {
            Ok(()) => Ok(()),
            Err(status) if status.code() == Code::AlreadyExists => Ok(()),
            Err(status) => Err(while_doing("committing content")(status)),
        }
    }

    async fn send(&mut self, request: WriteContentRequest) -> Result<(), Status> {
        // Where the stream has broken, the answer says why.
        self.requests.send(request).await.ok();
        match answer(self.answers.message()).await? {
            Some(_) => Ok(()),
            None => Err(Status::unavailable("the stream ended")),
        }
    }
}

fn whole(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
