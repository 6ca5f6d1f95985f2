//! Archives as several tools write them, read whole and put in order; no containerd.

use std::io::Write;
use std::path::Path;

use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::error::Problem;
use super::layout::{Blob, Brought, Contents};
use super::read::{Packing, Piece, digest_text, read};

fn digest(bytes: &[u8]) -> String {
    digest_text(Sha256::new_with_prefix(bytes))
}

fn blob(bytes: &[u8]) -> String {
    format!("blobs/{}", digest(bytes).replace(':', "/"))
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        if let Some(target) = bytes.strip_prefix(b"->") {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            let target = std::str::from_utf8(target).unwrap();
            builder.append_link(&mut header, path, target).unwrap();
        } else {
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, path, *bytes).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

fn contents_of(bytes: &[u8]) -> Result<Contents, Problem> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let (sender, mut pieces) = mpsc::channel(64);
    let path = file.path().to_owned();
    let reader = std::thread::spawn(move || read(&path, &sender));
    let mut contents = Contents::default();
    let mut open = None;
    let mut problem = None;
    while let Some(piece) = pieces.blocking_recv() {
        match piece {
            Ok(Piece::Document { path, bytes }) => drop(contents.documents.insert(path, bytes)),
            Ok(Piece::Link { path, target }) => drop(contents.links.insert(path, target)),
            Ok(Piece::Begin { path, size }) => open = Some((path, size)),
            Ok(Piece::Data(_)) => {}
            Ok(Piece::End { digest, packing }) => {
                let (path, size) = open.take().unwrap();
                let blob = Blob {
                    digest,
                    size,
                    packing,
                };
                contents.blobs.insert(path, blob);
            }
            Err(error) => problem = Some(error),
        }
    }
    reader.join().unwrap();
    problem.map_or(Ok(contents), Err)
}

fn brought(bytes: &[u8]) -> Result<Brought, Problem> {
    contents_of(bytes)?.images()
}

fn said(bytes: &[u8]) -> String {
    brought(bytes).unwrap_err().to_string()
}

const CONFIG: &[u8] = br#"{"os": "linux"}"#;
const LAYER: &[u8] = b"a layer";

fn saved() -> Vec<u8> {
    let manifest = json!([{"Config": "c.json", "RepoTags": ["app", "r.io/app:v1"],
        "Layers": ["1/layer.tar", "2/layer.tar"]}]);
    tar(&[
        ("1/layer.tar", LAYER),
        ("2/layer.tar", b"->../1/layer.tar"),
        ("c.json", CONFIG),
        ("manifest.json", manifest.to_string().as_bytes()),
    ])
}

fn layout(name: &str, layer: &[u8]) -> Vec<u8> {
    let manifest = json!({
        "config": {"digest": digest(CONFIG), "size": CONFIG.len()},
        "layers": [{"digest": digest(LAYER), "size": LAYER.len()}],
    })
    .to_string();
    let inner = json!({"manifests": [
        {"digest": digest(b"of another platform"), "size": 1},
        {"digest": digest(manifest.as_bytes()), "size": manifest.len()},
    ]})
    .to_string();
    let index = json!({"manifests": [{
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": digest(inner.as_bytes()), "size": inner.len(),
        "annotations": {"org.opencontainers.image.ref.name": name},
    }]})
    .to_string();
    tar(&[
        ("oci-layout", br#"{"imageLayoutVersion": "1.0.0"}"#),
        ("./index.json", index.as_bytes()),
        (&blob(CONFIG), CONFIG),
        (&blob(LAYER), layer),
        (&blob(manifest.as_bytes()), manifest.as_bytes()),
        (&blob(inner.as_bytes()), inner.as_bytes()),
    ])
}

#[test]
fn docker_archives_become_manifests() {
    let brought = brought(&saved()).unwrap();
    let names: Vec<_> = brought.images.keys().collect();
    assert_eq!(names, ["docker.io/library/app:latest", "r.io/app:v1"]);
    let manifest = brought.documents.last().unwrap();
    assert_eq!(brought.images["r.io/app:v1"].digest, manifest.digest);
    let labels: Vec<_> = manifest
        .labels
        .iter()
        .map(|(k, v)| (k.as_str(), v.clone()))
        .collect();
    assert_eq!(
        labels,
        [
            ("containerd.io/gc.ref.content.config", digest(CONFIG)),
            ("containerd.io/gc.ref.content.l.0", digest(LAYER)),
            ("containerd.io/gc.ref.content.l.1", digest(LAYER)),
        ]
    );
}

#[test]
fn layouts_bring_what_is_in_them() {
    let brought = brought(&layout("r.io/app:v1", LAYER)).unwrap();
    let [config, manifest, index] = &brought.documents[..] else {
        panic!("{brought:?}");
    };
    assert_eq!(config.digest, digest(CONFIG));
    assert_eq!(
        index.labels.iter().collect::<Vec<_>>(),
        [(
            &"containerd.io/gc.ref.content.m.1".to_owned(),
            &manifest.digest
        )]
    );
    assert_eq!(brought.images["r.io/app:v1"].digest, index.digest);
}

#[test]
fn archives_are_unpacked() {
    let plain = saved();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let half = plain.len() / 2;
    let frame = |bytes: &[u8]| {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    };
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9][..]].concat();
    let zstd = [frame(&plain[..half]), skippable, frame(&plain[half..])].concat();
    let expected = brought(&plain).unwrap();
    assert_eq!(brought(&gzip.finish().unwrap()).unwrap(), expected);
    assert_eq!(brought(&zstd).unwrap(), expected);
    let cut = frame(&plain);
    assert!(brought(&cut[..cut.len() / 2]).is_err());
}

#[test]
fn broken_archives_say_what_is_wrong() {
    let whole = saved();
    assert!(
        said(&whole[..700]).contains("cut short within 1/layer.tar")
            || said(&whole[..515]).contains("cut short")
    );
    assert!(said(b"").contains("neither index.json nor manifest.json"));
    assert!(said(b"hello, this is no archive at all").contains("no image archive"));
    assert!(said(&tar(&[("manifest.json", b"[{")])).contains("manifest.json in it cannot"));
    assert!(said(&layout("v1", LAYER)).contains("does not name its images"));
    assert!(said(&layout("r.io/App:v1", LAYER)).contains("names an image"));
    assert!(said(&layout("r.io/app:v1", b"other")).contains("is not what its name says"));
    let manifest = json!([{"Config": "c.json", "RepoTags": ["app"], "Layers": ["x.tar"]}]);
    let lacks = [
        ("c.json", CONFIG),
        ("manifest.json", manifest.to_string().as_bytes()),
    ]
    .map(|(path, bytes)| (path, bytes.to_vec()));
    let lacks: Vec<_> = lacks.iter().map(|(p, b)| (*p, b.as_slice())).collect();
    assert!(said(&tar(&lacks)).contains("it lacks x.tar"));
    let (sender, mut pieces) = mpsc::channel(1);
    read(Path::new("/nonexistent"), &sender);
    assert!(matches!(pieces.try_recv(), Ok(Err(Problem::Read(_)))));
}

#[test]
fn packing_is_told_by_the_first_bytes() {
    let contents = contents_of(&tar(&[
        ("z", b"\x28\xb5\x2f\xfdx"),
        ("g", b"\x1f\x8bx"),
        ("p", b"x"),
    ]));
    let contents = contents.unwrap();
    let packings: Vec<_> = contents.blobs.values().map(|b| b.packing).collect();
    assert_eq!(packings, [Packing::Gzip, Packing::Plain, Packing::Zstd]);
}
