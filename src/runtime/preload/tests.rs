//! Archives as several tools write them, read whole and put in order; no containerd.

mod archives;
mod bounds;
mod choices;
mod documents;

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::error::Problem;
use super::layout::{Brought, choose};
use super::platform::Platform;
use super::read::{Bounds, Piece, Survey, deliver, digest_text, open, survey};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &[u8] = b"a layer";

fn digest(bytes: &[u8]) -> String {
    digest_text(Sha256::new_with_prefix(bytes))
}

fn blob(bytes: &[u8]) -> String {
    format!("blobs/{}", digest(bytes).replace(':', "/"))
}

fn machine(architecture: &str) -> Platform {
    let text = |text: &str| super::go::Text(text.to_owned());
    Platform {
        os: text("linux"),
        architecture: text(architecture),
        variant: text(""),
    }
}

fn config(architecture: &str) -> Vec<u8> {
    let diff_ids = [digest(LAYER)];
    let config = json!({"os": "linux", "architecture": architecture, "created": null,
        "config": {"Cmd": ["sh"], "Env": null, "Labels": {"a": "b"}, "Volumes": {"/x": {}}},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    config.to_string().into_bytes()
}

/// Files of an archive.
#[derive(Default)]
struct Files(Vec<(String, Vec<u8>)>);

impl Files {
    fn put(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.0.push((path.to_owned(), bytes.into()));
    }

    /// Adds a document of the layout and describes it.
    fn add(&mut self, media_type: &str, document: &[u8]) -> Value {
        self.put(&blob(document), document);
        json!({"mediaType": media_type, "digest": digest(document), "size": document.len()})
    }

    /// Adds a manifest with its configuration; the layer is shared.
    fn manifest(&mut self, config: &[u8]) -> Value {
        let config = self.add("application/vnd.oci.image.config.v1+json", config);
        let layer = json!({"mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": digest(LAYER), "size": LAYER.len()});
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
        self.add(MANIFEST, manifest.to_string().as_bytes())
    }

    fn index(&mut self, manifests: &[Value]) -> Value {
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        self.add(INDEX, index.to_string().as_bytes())
    }

    /// Ends the layout with its index and layer.
    fn layout(mut self, manifests: &[Value]) -> Self {
        let index = json!({"manifests": manifests}).to_string();
        self.put("oci-layout", r#"{"imageLayoutVersion": "1.0.0"}"#);
        self.put("index.json", index);
        self.put(&blob(LAYER), LAYER);
        self
    }

    fn tar(&self) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, bytes) in &self.0 {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            let link = [
                (b"->", tar::EntryType::Symlink),
                (b"=>", tar::EntryType::Link),
            ];
            let link = link
                .iter()
                .find_map(|(sign, kind)| Some((bytes.strip_prefix(*sign)?, *kind)));
            if let Some((target, kind)) = link {
                header.set_entry_type(kind);
                header.set_size(0);
                let target = std::str::from_utf8(target).unwrap();
                builder.append_link(&mut header, path, target).unwrap();
            } else {
                header.set_size(bytes.len() as u64);
                builder
                    .append_data(&mut header, path, bytes.as_slice())
                    .unwrap();
            }
        }
        builder.into_inner().unwrap()
    }
}

fn named(mut target: Value, name: &str) -> Value {
    target["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    target
}

fn of_platform(mut target: Value, architecture: &str) -> Value {
    target["platform"] = json!({"os": "linux", "architecture": architecture});
    target
}

fn file_of(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn surveyed(bytes: &[u8], bounds: &Bounds) -> Result<Survey, Problem> {
    let file = file_of(bytes);
    survey(&open(file.path())?, file.path(), bounds, &|| Ok(()))
}

/// What an archive brings to a machine, and the bytes of its files that are needed.
fn read_for(
    bytes: &[u8],
    machine: &Platform,
) -> Result<(Brought, BTreeMap<String, Vec<u8>>), Problem> {
    let file = file_of(bytes);
    let (path, opened, step) = (file.path(), open(file.path())?, || Ok(()));
    let choice = choose(&survey(&opened, path, &Bounds::USUAL, &step)?, machine)?;
    let wanted = choice.wanted.keys().copied().collect();
    let (mut digests, mut files) = (BTreeMap::new(), BTreeMap::new());
    let mut now = (0, Vec::new());
    let mut pass_on = |piece| {
        match piece {
            Piece::Begin { number, .. } => now = (number, Vec::new()),
            Piece::Data(data) => now.1.extend(data),
            Piece::End { digest } => {
                assert_eq!(digest, self::digest(&now.1));
                digests.insert(now.0, digest.clone());
                files.insert(digest, std::mem::take(&mut now.1));
            }
        }
        Ok(())
    };
    deliver(&opened, path, &Bounds::USUAL, &wanted, &step, &mut pass_on)?;
    Ok((choice.finish(&digests)?, files))
}

fn brought(bytes: &[u8]) -> Result<Brought, Problem> {
    Ok(read_for(bytes, &machine("amd64"))?.0)
}

fn said(bytes: &[u8]) -> String {
    brought(bytes).unwrap_err().to_string()
}

fn names(brought: &Brought) -> Vec<&str> {
    brought.images.keys().map(String::as_str).collect()
}

/// What docker saved before version 25, of layers as they are.
fn saved_of(config: &[u8], layers: &[&[u8]]) -> Files {
    let mut files = Files::default();
    let paths: Vec<_> = (0..layers.len())
        .map(|i| format!("{i}/layer.tar"))
        .collect();
    for (path, layer) in paths.iter().zip(layers) {
        files.put(path, *layer);
    }
    let manifest = json!([{"Config": "c.json", "RepoTags": ["app", "r.io/app:v1"],
        "Layers": paths}]);
    files.put("c.json", config);
    files.put("manifest.json", manifest.to_string());
    files
}

/// A layout of one image.
fn layout(name: &str) -> Files {
    let mut files = Files::default();
    let target = files.manifest(&config("amd64"));
    files.layout(&[named(target, name)])
}

#[tokio::test]
async fn a_panic_costs_one_archive() {
    let done = super::error::guarded::<()>(async { panic!("at byte {}", 7) }).await;
    let problem = done.expect_err("a problem");
    assert!(!problem.is_containerds(), "it is not tried again as it is");
    let reason = problem.reason("/images/a.tar");
    assert_eq!(
        reason.message,
        "/images/a.tar: setlet failed, which is a defect of it: at byte 7"
    );
}
