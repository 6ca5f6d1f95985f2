//! Bytes of running pulls, from containerd's content store: what it is taking in right now.
//!
//! Only polled while a pull runs. Downloads do not say which image they are for; where several pulls
//! run, the manifests that containerd keeps of each one's repository name them. Other runtimes do not
//! tell; there the bytes stay 0.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use containerd_client::services::v1::content_client::ContentClient;
use containerd_client::services::v1::{ListContentRequest, ListStatusesRequest};
use tonic::Status;
use tonic::transport::Channel;

use crate::api::ImageName;
use crate::model::PullProgress;
use crate::runtime::containerd::in_namespace;

/// How often to look.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// Label of a manifest, with the registry behind it: the repositories it was pulled from.
const SOURCE: &str = "containerd.io/distribution.source.";
/// Labels of a manifest that begin so: what it is made of.
const CHILD: &str = "containerd.io/gc.ref.content";

/// Bytes by image, named in full.
pub(super) type Progress = BTreeMap<String, PullProgress>;

/// The downloads seen since the last time no pull ran.
#[derive(Debug)]
pub(super) struct Ingests {
    content: ContentClient<Channel>,
    seen: Seen,
}

impl Ingests {
    pub fn new(channel: Channel) -> Self {
        Self {
            content: ContentClient::new(channel),
            seen: Seen::default(),
        }
    }

    /// No pull runs: what was downloaded counts for none of those to come.
    pub fn forget(&mut self) {
        self.seen = Seen::default();
    }

    /// Says how far the downloads of the running pulls are.
    pub async fn look(&mut self, running: &[String]) -> Progress {
        // A runtime without a content store, or one that is away: progress is only for show.
        self.read(running).await.unwrap_or_default()
    }

    async fn read(&mut self, running: &[String]) -> Result<Progress, Status> {
        let request = in_namespace(ListStatusesRequest::default());
        let active = self.content.list_statuses(request).await?.into_inner();
        self.seen.keep(running);
        self.seen.update(
            active
                .statuses
                .into_iter()
                .map(|s| (s.r#ref, bytes(s.offset), bytes(s.total))),
        );
        if self.seen.has_unowned() {
            match running {
                [only] => self.seen.own_all(only),
                several => {
                    for image in several {
                        let parts = self.parts(image).await?;
                        self.seen.own(image, &parts);
                    }
                }
            }
        }
        Ok(self.seen.progress())
    }

    /// The digests that the manifests of an image's repository name.
    async fn parts(&mut self, image: &str) -> Result<BTreeSet<String>, Status> {
        let Ok(name) = ImageName::parse(image) else {
            return Ok(BTreeSet::new());
        };
        let source = format!("{SOURCE}{}", name.domain());
        let request = ListContentRequest {
            filters: vec![format!("labels.\"{source}\"")],
        };
        let mut stream = self.content.list(in_namespace(request)).await?.into_inner();
        let mut parts = BTreeSet::new();
        while let Some(page) = stream.message().await? {
            for info in page.info {
                let sources = info.labels.get(&source).map_or("", String::as_str);
                if sources.split(',').any(|s| s == name.path()) {
                    let children = info
                        .labels
                        .into_iter()
                        .filter(|(k, _)| k.starts_with(CHILD));
                    parts.extend(children.map(|(_, digest)| digest));
                }
            }
        }
        Ok(parts)
    }
}

fn bytes(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// Downloads by their name, for example `layer-sha256:…`.
#[derive(Debug, Default)]
struct Seen(BTreeMap<String, Download>);

#[derive(Debug, Default)]
struct Download {
    image: Option<String>,
    done: u64,
    total: u64,
}

impl Seen {
    /// Forgets what was downloaded for pulls that have ended.
    fn keep(&mut self, running: &[String]) {
        let runs = |image: &String| running.contains(image);
        self.0.retain(|_, d| d.image.as_ref().is_none_or(runs));
    }

    /// Takes in what is active; what no longer is, is complete.
    fn update(&mut self, active: impl Iterator<Item = (String, u64, u64)>) {
        for download in self.0.values_mut() {
            download.done = download.total;
        }
        for (name, done, total) in active {
            let download = self.0.entry(name).or_default();
            (download.done, download.total) = (done, total);
        }
    }

    fn has_unowned(&self) -> bool {
        self.0.values().any(|d| d.image.is_none())
    }

    fn own_all(&mut self, image: &str) {
        for download in self.0.values_mut() {
            download.image.get_or_insert_with(|| image.to_owned());
        }
    }

    fn own(&mut self, image: &str, parts: &BTreeSet<String>) {
        for (name, download) in &mut self.0 {
            let digest = name.split_once('-').map_or("", |(_, digest)| digest);
            if download.image.is_none() && parts.contains(digest) {
                download.image = Some(image.to_owned());
            }
        }
    }

    fn progress(&self) -> Progress {
        let mut progress = Progress::new();
        for download in self.0.values() {
            if let Some(image) = &download.image {
                let sum = progress.entry(image.clone()).or_default();
                sum.done += download.done;
                sum.total += download.total;
            }
        }
        progress
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(seen: &mut Seen, active: &[(&str, u64, u64)]) {
        let active = active.iter().map(|(n, d, t)| ((*n).to_owned(), *d, *t));
        seen.update(active);
    }

    fn of(seen: &Seen, image: &str) -> Option<(u64, u64)> {
        seen.progress().get(image).map(|p| (p.done, p.total))
    }

    #[test]
    fn a_download_that_is_gone_is_complete() {
        let mut seen = Seen::default();
        update(&mut seen, &[("layer-a", 1, 4), ("layer-b", 0, 6)]);
        seen.own_all("x");
        assert_eq!(of(&seen, "x"), Some((1, 10)));
        update(&mut seen, &[("layer-b", 3, 6)]);
        assert_eq!(of(&seen, "x"), Some((7, 10)));
        assert!(!seen.has_unowned());
    }

    #[test]
    fn downloads_belong_to_the_image_whose_manifest_names_them() {
        let mut seen = Seen::default();
        update(
            &mut seen,
            &[("layer-sha256:a", 1, 4), ("layer-sha256:b", 2, 6)],
        );
        assert_eq!(seen.progress(), Progress::new());
        seen.own("x", &["sha256:a".to_owned()].into());
        seen.own("y", &["sha256:a".to_owned(), "sha256:b".to_owned()].into());
        assert_eq!(of(&seen, "x"), Some((1, 4)));
        assert_eq!(of(&seen, "y"), Some((2, 6)));
        seen.keep(&["y".to_owned()]);
        assert_eq!(of(&seen, "x"), None);
        assert_eq!(of(&seen, "y"), Some((2, 6)));
    }
}
