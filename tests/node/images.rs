//! Trials of images: archives of the preload directory, on a containerd without any registry.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::agent::SOON;
use crate::harness::containerd::run;
use crate::harness::{Agent, Containerd};
use crate::image::Image;
use crate::set::sleeper;
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together(
        "images::archives_of_each_kind_run_without_a_registry",
        archives_of_each_kind_run_without_a_registry,
    );
    suite.together(
        "images::a_later_archive_is_imported",
        a_later_archive_is_imported,
    );
    suite.together(
        "images::a_bad_archive_is_named_and_blocks_nothing",
        a_bad_archive_is_named_and_blocks_nothing,
    );
    suite.together(
        "images::a_present_archive_is_skipped",
        a_present_archive_is_skipped,
    );
    suite.together(
        "images::names_by_digest_run_without_a_registry",
        names_by_digest_run_without_a_registry,
    );
    suite.together(
        "images::what_cannot_be_unpacked_leaves_the_old_pod",
        what_cannot_be_unpacked_leaves_the_old_pod,
    );
    suite.alone(
        "images::imported_images_outlive_the_garbage_collector",
        imported_images_outlive_the_garbage_collector,
    );
}

/// The agent's image directory; made, so that archives can be there before the agent.
fn directory(agent: &Agent) -> PathBuf {
    let directory = agent.dir().join("images");
    std::fs::create_dir_all(&directory).expect("the images directory");
    directory
}

/// Moves an archive into the agent's image directory.
fn place(agent: &Agent, archive: &Path, name: &str) {
    std::fs::rename(archive, directory(agent).join(name)).expect("place an archive");
}

fn packed(program: &str, archive: &Path, end: &str) -> PathBuf {
    let packed = PathBuf::from(format!("{}.{end}", archive.display()));
    let script = format!("{program} -c \"$0\" >\"$1\" && rm \"$0\"");
    run(Command::new("sh")
        .args(["-c", &script])
        .arg(archive)
        .arg(&packed));
    packed
}

/// Everything the agent says of itself.
pub fn report(agent: &Agent) -> Value {
    let text = agent.setlet(&["status", "-o", "json"]);
    serde_json::from_str(&text).expect("status is JSON")
}

/// What names a set's image, and a manifest of it.
pub fn manifest(set: &str, image: &str, policy: &str) -> String {
    let of_image = crate::set::Set {
        image,
        ..sleeper(set)
    };
    let policy = format!("imagePullPolicy: {policy}");
    of_image
        .yaml()
        .replace("imagePullPolicy: IfNotPresent", &policy)
}

fn archives_of_each_kind_run_without_a_registry(containerd: &Arc<Containerd>) {
    let mut agent = Agent::new(containerd, "images-kinds");
    let tmp = agent.dir().join("tmp");
    for (kind, packing, end) in [
        ("docker", "", "tar"),
        ("docker", "gzip", "gz"),
        ("docker", "zstd", "zst"),
        ("oci", "", "tar"),
        ("oci", "gzip", "gz"),
        ("oci", "zstd", "zst"),
    ] {
        let set = format!("{kind}-{end}");
        // An image of its own, layer and all.
        let image = Image::named(&format!("preload.test/{set}:v1")).ballast(1);
        let archive = match kind {
            "docker" => image.archive(&tmp),
            _ => image.oci_archive(&tmp),
        };
        let archive = match packing {
            "" => archive,
            program => packed(program, &archive, end),
        };
        place(&agent, &archive, &format!("{set}.{end}"));
        let policy = if packing == "gzip" {
            "Never"
        } else {
            "IfNotPresent"
        };
        agent.put(
            &format!("{set}.yaml"),
            &manifest(&set, &format!("preload.test/{set}:v1"), policy),
        );
    }
    agent.start();
    for set in [
        "docker-tar",
        "docker-gz",
        "docker-zst",
        "oci-tar",
        "oci-gz",
        "oci-zst",
    ] {
        agent.wait_running(set, 1);
    }
    agent.ready();
    let report = report(&agent);
    assert_eq!(report["archives"], json!([]), "{report:#}");
}

fn a_later_archive_is_imported(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "images-later");
    agent.ready();
    let name = "preload.test/later:v1";
    agent.put("later.yaml", &manifest("later", name, "IfNotPresent"));
    agent.wait_for(SOON, "the pull fails", || {
        let report = report(&agent).to_string();
        if report.contains("ErrImagePull") || report.contains("ImagePullBackOff") {
            Ok(())
        } else {
            Err(report)
        }
    });
    let archive = Image::named(name)
        .label("v", "1")
        .archive(&agent.dir().join("tmp"));
    place(&agent, &archive, "later.tar");
    let first = agent.wait_running("later", 1);
    assert_eq!(first.len(), 1);
}

fn a_bad_archive_is_named_and_blocks_nothing(containerd: &Arc<Containerd>) {
    let mut agent = Agent::new(containerd, "images-bad");
    let tmp = agent.dir().join("tmp");
    let name = "preload.test/good:v1";
    let good = Image::named(name).label("v", "good").archive(&tmp);
    let bytes = std::fs::read(&good).expect("the archive");
    place(&agent, &good, "b-good.tar");
    let images = directory(&agent);
    std::fs::write(images.join("a-text.tar"), "no archive").expect("write");
    std::fs::write(images.join("c-cut.tar"), &bytes[..bytes.len() / 2]).expect("write");
    let layer = vec![0; 1024];
    let other = config("no-such-architecture", &layer);
    let other = saved("preload.test/other:v1", &other, &layer);
    std::fs::write(images.join("a-other.tar"), other).expect("write");
    let broken = saved("preload.test/broken:v1", "{no json", &layer);
    std::fs::write(images.join("a-broken.tar"), broken).expect("write");
    agent.put("good.yaml", &manifest("good", name, "Never"));
    agent.start();
    agent.wait_running("good", 1);
    agent.ready();
    let status = agent.wait_for(SOON, "both bad archives are named", || {
        let status = agent.setlet(&["status"]);
        let said = [
            "a-text.tar: it is",
            "c-cut.tar: it is cut short",
            "another platform: linux/no-such-architecture; this machine is linux/",
            "a-broken.tar: c.json in it cannot be understood",
        ];
        if said.iter().all(|said| status.contains(said)) {
            Ok(status)
        } else {
            Err(status)
        }
    });
    assert!(!status.contains("b-good.tar"), "{status}");
    // What is mended is taken.
    for name in ["a-text.tar", "a-other.tar", "a-broken.tar", "c-cut.tar"] {
        std::fs::remove_file(images.join(name)).expect("remove");
    }
    agent.wait_for(
        SOON,
        "nothing is bad any more",
        || match report(&agent)["archives"].as_array() {
            Some(list) if list.is_empty() => Ok(()),
            other => Err(format!("{other:?}")),
        },
    );
}

/// The digest of bytes, as images have it.
fn digest(bytes: &[u8]) -> String {
    let hex = Sha256::digest(bytes);
    let hex: String = hex.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn config(architecture: &str, layer: &[u8]) -> String {
    let config = json!({"os": "linux", "architecture": architecture, "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}});
    config.to_string()
}

/// What `docker save` wrote before version 25, of one image.
fn saved(name: &str, config: &str, layer: &[u8]) -> Vec<u8> {
    let manifest = json!([{"Config": "c.json", "RepoTags": [name], "Layers": ["layer.tar"]}]);
    let manifest = manifest.to_string();
    let mut archive = tar::Builder::new(Vec::new());
    for (path, bytes) in [
        ("layer.tar", layer),
        ("c.json", config.as_bytes()),
        ("manifest.json", manifest.as_bytes()),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        let added = archive.append_data(&mut header, path, bytes);
        added.expect("an archive in memory");
    }
    archive.into_inner().expect("an archive in memory")
}

fn names_by_digest_run_without_a_registry(containerd: &Arc<Containerd>) {
    let mut agent = Agent::new(containerd, "images-digest");
    let archive = Image::named("docker.io/by-digest:v1")
        .label("v", "by-digest")
        .oci_archive(&agent.dir().join("tmp"));
    let index = run(Command::new("tar")
        .arg("-xOf")
        .arg(&archive)
        .arg("index.json"));
    let index: Value = serde_json::from_str(&index).expect("index.json");
    let digest = index["manifests"][0]["digest"].as_str().expect("a digest");
    place(&agent, &archive, "by-digest.tar");
    for (set, image) in [
        ("digest", format!("by-digest@{digest}")),
        ("both", format!("docker.io/library/by-digest:v1@{digest}")),
        ("tag", "index.docker.io/by-digest:v1".to_owned()),
    ] {
        agent.put(&format!("{set}.yaml"), &manifest(set, &image, "Never"));
    }
    agent.start();
    for set in ["digest", "both", "tag"] {
        agent.wait_running(set, 1);
    }
}

fn what_cannot_be_unpacked_leaves_the_old_pod(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "images-unpack");
    agent.put("set.yaml", &sleeper("unpack").yaml());
    let before = agent.wait_running("unpack", 1);
    let layer = vec![b'x'; 4096];
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = config(architecture, &layer);
    let is_told = |what: &str, words: [&str; 2]| {
        agent.wait_for(SOON, what, || {
            let told = report(&agent).to_string();
            let all = words.iter().all(|word| told.contains(word));
            all.then_some(()).ok_or(told)
        });
        assert_eq!(agent.running_of("unpack"), before, "the old pod runs on");
    };
    // Brought by an archive it is no image at all.
    let archive = agent.dir().join("tmp/broken.tar");
    let name = "preload.test/unpack:v1";
    std::fs::write(&archive, saved(name, &config, &layer)).expect("write");
    place(&agent, &archive, "broken.tar");
    agent.put("set.yaml", &manifest("unpack", name, "Never"));
    is_told(
        "the archive is named",
        ["cannot be unpacked", "ErrImageNeverPull"],
    );
    // Brought by somebody else it is unpacked before the old pod is stopped.
    let archive = agent.dir().join("tmp/other.tar");
    let name = "preload.test/unpack:v2";
    std::fs::write(&archive, saved(name, &config, &layer)).expect("write");
    let path = archive.to_str().expect("a path");
    containerd.ctr(&["images", "import", "--no-unpack", path]);
    agent.put("set.yaml", &manifest("unpack", name, "Never"));
    is_told(
        "the image is named",
        ["is present and cannot be unpacked", name],
    );
}

fn a_present_archive_is_skipped(containerd: &Arc<Containerd>) {
    let mut agent = Agent::new(containerd, "images-skip");
    let name = "preload.test/skip:v1";
    let archive = Image::named(name)
        .label("v", "skip")
        .archive(&agent.dir().join("tmp"));
    place(&agent, &archive, "skip.tar");
    agent.put("skip.yaml", &manifest("skip", name, "Never"));
    agent.start();
    let before = agent.wait_running("skip", 1);
    // An attempt that containerd made fail is not counted; it is made again.
    let imports = |agent: &Agent| {
        let log = std::fs::read_to_string(agent.dir().join("agent.log")).expect("the log");
        let done = |line: &&str| line.contains(" imported ") && line.contains("skip.tar");
        log.lines().filter(done).count()
    };
    assert_eq!(imports(&agent), 1, "{}", agent.log_tail());
    agent.kill9();
    agent.start();
    agent.ready();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(imports(&agent), 1, "{}", agent.log_tail());
    assert_eq!(agent.wait_running("skip", 1)[0].id, before[0].id);
    // One that was removed from containerd is brought again.
    agent.kill9();
    containerd.remove_image(name);
    agent.start();
    agent.wait_for(SOON, "it is imported again", || match imports(&agent) {
        2 => Ok(()),
        n => Err(format!("{n} imports\n{}", agent.log_tail())),
    });
}

fn imported_images_outlive_the_garbage_collector() {
    let containerd = Arc::new(Containerd::launch());
    let mut agent = Agent::new(&containerd, "images-gc");
    let name = "preload.test/gc:v1";
    let archive = Image::named(name)
        .ballast(1)
        .oci_archive(&agent.dir().join("tmp"));
    place(&agent, &archive, "gc.tar");
    agent.start();
    agent.wait_for(SOON, "it is imported", || {
        let images = containerd.ctr(&["images", "ls", "-q"]);
        if images.contains(name) {
            Ok(())
        } else {
            Err(images)
        }
    });
    // Collection runs at the latest when something is removed synchronously, and at a start.
    let lease = || containerd.ctr(&["leases", "ls", "-q"]);
    agent.wait_for(SOON, "the lease has gone", || match lease() {
        leases if leases.contains("setlet-import") => Err(leases),
        _ => Ok(()),
    });
    containerd.ctr(&["images", "tag", name, "preload.test/other:v1"]);
    containerd.remove_image("preload.test/other:v1");
    containerd.restart();
    agent.put("gc.yaml", &manifest("gc", name, "Never"));
    agent.wait_running("gc", 1);
}
