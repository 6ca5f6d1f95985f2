//! containerd's side of an import: content, images and the lease that keeps them from its garbage
//! collector until the images refer to them.
//!
//! Images are made without CRI's label: CRI hears of them, adds it and gives them their ids.

use std::collections::{BTreeMap, HashMap};

use containerd_client::services::v1::content_client::ContentClient;
use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::{
    CreateImageRequest, Image, Info, ListImagesRequest, UpdateImageRequest, UpdateRequest,
    WriteAction, WriteContentRequest, WriteContentResponse,
};
use containerd_client::types::Descriptor;
use futures_util::stream;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};

use super::error::{Problem, while_doing};
use super::layout::Document;
use crate::runtime::brought;
use crate::runtime::containerd::{answer, in_namespace, label_image};
use crate::runtime::image::Lease;

/// The label that says which archive an image came from.
pub(super) const ARCHIVE: &str = "setlet.dev/archive";

/// An image as containerd has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Present {
    /// The archive it came from, where it did.
    pub archive: Option<String>,
    /// When it was made or replaced, in seconds.
    pub updated: i64,
    /// Whether this node's agent brought it.
    pub brought: bool,
}

/// containerd during one import.
pub(super) struct Store {
    content: ContentClient<Channel>,
    images: ImagesClient<Channel>,
    lease: Lease,
    node: String,
    uploads: usize,
}

/// A file on its way into the content store.
pub(super) struct Upload {
    requests: mpsc::Sender<WriteContentRequest>,
    answers: Streaming<WriteContentResponse>,
    written: i64,
}

/// The images containerd has, by name.
pub(super) async fn present(
    channel: Channel,
    node: &str,
) -> Result<BTreeMap<String, Present>, Problem> {
    let own = brought::label(node);
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
                brought: image.labels.contains_key(&own),
            };
            (image.name, present)
        })
        .collect())
}

impl Store {
    /// Begins an import: what it writes is kept until [`Self::close`], or for a day.
    pub async fn open(channel: Channel, node: &str, now: Timestamp) -> Result<Self, Problem> {
        let lease = Lease::take(channel.clone(), node, "import", now).await;
        Ok(Self {
            content: ContentClient::new(channel.clone()),
            images: ImagesClient::new(channel),
            lease: lease.map_err(while_doing("taking a lease"))?,
            node: node.to_owned(),
            uploads: 0,
        })
    }

    /// What keeps what is written.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Ends it: what no image refers to is containerd's to collect.
    pub async fn close(self) {
        self.lease.close().await;
    }

    /// Begins a file; none when containerd has one of that digest already.
    pub async fn begin(
        &mut self,
        size: u64,
        digest: Option<String>,
    ) -> Result<Option<Upload>, Problem> {
        self.uploads += 1;
        let (requests, queue) = mpsc::channel(1);
        let first = WriteContentRequest {
            action: WriteAction::Stat.into(),
            r#ref: format!("{}-{}", self.lease.id(), self.uploads),
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
    pub async fn put(&mut self, document: Document) -> Result<(), Problem> {
        let size = document.bytes.len() as u64;
        let labels: HashMap<String, String> = document.labels.into_iter().collect();
        let digest = document.digest;
        if let Some(mut upload) = self.begin(size, Some(digest.clone())).await? {
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

    /// Makes an image of a name, or turns the name to it; of its target the media type and size.
    /// Whether the name was made.
    pub async fn name(
        &mut self,
        name: &str,
        digest: &str,
        (media_type, size): (&str, u64),
    ) -> Result<bool, Problem> {
        let image = Image {
            name: name.to_owned(),
            target: Some(Descriptor {
                media_type: media_type.to_owned(),
                digest: digest.to_owned(),
                size: whole(size),
                ..Default::default()
            }),
            ..Default::default()
        };
        let request = CreateImageRequest {
            image: Some(Image {
                // CRI may take it away when it hears of the image; `mark` puts it there for good.
                labels: [(brought::label(&self.node), "true".to_owned())].into(),
                ..image.clone()
            }),
            ..Default::default()
        };
        let request = self.leased(request)?;
        match answer(self.images.create(request)).await {
            Ok(_) => Ok(true),
            Err(status) if status.code() == Code::AlreadyExists => {
                update(&mut self.images, image, "target")
                    .await
                    .map(|()| false)
            }
            Err(status) => Err(while_doing("making an image")(status)),
        }
    }

    fn leased<T>(&self, message: T) -> Result<Request<T>, Problem> {
        self.lease
            .request(message)
            .map_err(while_doing("naming a lease"))
    }
}

/// Notes which archive an image came from and, where the import made its name, that it did.
pub(super) async fn mark(
    channel: Channel,
    name: &str,
    archive: &str,
    brought_by: Option<&str>,
) -> Result<(), Problem> {
    let mut labels = HashMap::from([(ARCHIVE.to_owned(), archive.to_owned())]);
    labels.extend(brought_by.map(|node| (brought::label(node), "true".to_owned())));
    let labelled = label_image(&mut ImagesClient::new(channel), name, labels).await;
    labelled.map_err(while_doing("changing an image"))
}

async fn update(
    images: &mut ImagesClient<Channel>,
    image: Image,
    field: &str,
) -> Result<(), Problem> {
    let request = in_namespace(UpdateImageRequest {
        image: Some(image),
        update_mask: Some(prost_types::FieldMask {
            paths: vec![field.to_owned()],
        }),
        ..Default::default()
    });
    answer(images.update(request))
        .await
        .map(drop)
        .map_err(while_doing("changing an image"))
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
