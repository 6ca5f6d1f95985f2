//! Defaults of volumes.

use serde_json::{Value, json};

use super::container::{field_source, round_resources};
use super::image::pull_policy;
use super::{Fields, default, ensure, object, objects, text};

/// The permissions files get where nothing is said: 0644.
const MODE: i64 = 0o644;

/// Fills in a volume; one without a source becomes an `emptyDir`.
pub(super) fn apply(volume: &mut Fields) {
    if !volume.keys().any(|key| key != "name") {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
    if let Some(host_path) = object(volume, "hostPath") {
        default(host_path, "type", || Value::from(""));
    }
    for kind in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = object(volume, kind) {
            default(source, "defaultMode", || Value::from(MODE));
            objects(source, "items").for_each(field_source);
        }
    }
    if let Some(projected) = object(volume, "projected") {
        objects(projected, "sources").for_each(projection);
    }
    if let Some(image) = object(volume, "image")
        && !image.contains_key("pullPolicy")
    {
        let policy = pull_policy(text(image, "reference").unwrap_or_default());
        image.insert("pullPolicy".to_owned(), Value::from(policy));
    }
    if let Some(claim) = object(volume, "ephemeral").and_then(|e| object(e, "volumeClaimTemplate"))
    {
        ensure(claim, "metadata");
        let spec = ensure(claim, "spec");
        default(spec, "volumeMode", || Value::from("Filesystem"));
        let resources = ensure(spec, "resources");
        round_resources(resources, "limits");
        round_resources(resources, "requests");
    }
    storage(volume);
}

/// One source of a projected volume; two kinds are behind gates that are off, and are dropped.
fn projection(source: &mut Fields) {
    source.remove("clusterTrustBundle");
    source.remove("podCertificate");
    if let Some(token) = object(source, "serviceAccountToken") {
        default(token, "expirationSeconds", || Value::from(3600));
    }
    if let Some(downward) = object(source, "downwardAPI") {
        objects(downward, "items").for_each(field_source);
    }
}

/// The defaults of the network storage kinds.
fn storage(volume: &mut Fields) {
    if let Some(iscsi) = object(volume, "iscsi") {
        default(iscsi, "iscsiInterface", || Value::from("default"));
    }
    if let Some(rbd) = object(volume, "rbd") {
        default(rbd, "pool", || Value::from("rbd"));
        default(rbd, "user", || Value::from("admin"));
        default(rbd, "keyring", || Value::from("/etc/ceph/keyring"));
    }
    if let Some(disk) = object(volume, "azureDisk") {
        default(disk, "cachingMode", || Value::from("ReadWrite"));
        default(disk, "kind", || Value::from("Shared"));
        default(disk, "fsType", || Value::from("ext4"));
        default(disk, "readOnly", || Value::Bool(false));
    }
    if let Some(scale_io) = object(volume, "scaleIO") {
        default(scale_io, "storageMode", || Value::from("ThinProvisioned"));
        default(scale_io, "fsType", || Value::from("xfs"));
    }
}
