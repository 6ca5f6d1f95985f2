//! Volumes: names, exactly one source each, and the sources that the agent can mount.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::at::{At, Errors};
use super::container::PULL_POLICIES;
use super::env::{VOLUME_FIELDS, field_ref, resource_ref};
use super::pod::Within;
use super::{names, storage};
use crate::api::Cause;

/// Every source, in the order in which the first of several counts; and how the reference spells
/// it when it is one too many.
const SOURCES: [(&str, &str); 30] = [
    ("emptyDir", "emptyDir"),
    ("hostPath", "hostPath"),
    ("gitRepo", "gitRepo"),
    ("gcePersistentDisk", "gcePersistentDisk"),
    ("awsElasticBlockStore", "awsElasticBlockStore"),
    ("secret", "secret"),
    ("nfs", "nfs"),
    ("iscsi", "iscsi"),
    ("glusterfs", "glusterfs"),
    ("flocker", "flocker"),
    ("persistentVolumeClaim", "persistentVolumeClaim"),
    ("rbd", "rbd"),
    ("cinder", "cinder"),
    ("cephfs", "cephFS"),
    ("quobyte", "quobyte"),
    ("downwardAPI", "downwarAPI"),
    ("fc", "fc"),
    ("flexVolume", "flexVolume"),
    ("configMap", "configMap"),
    ("azureFile", "azureFile"),
    ("vsphereVolume", "vsphereVolume"),
    ("photonPersistentDisk", "photonPersistentDisk"),
    ("portworxVolume", "portworxVolume"),
    ("azureDisk", "azureDisk"),
    ("storageos", "storageos"),
    ("projected", "projected"),
    ("scaleIO", "scaleIO"),
    ("csi", "csi"),
    ("ephemeral", "ephemeral"),
    ("image", "image"),
];

/// Checks the volumes; gives back those that are valid, which mounts may name.
pub(crate) fn volumes<'v>(
    errors: &mut Errors,
    volumes: &At<'_, 'v>,
    within: Within,
) -> BTreeMap<&'v str, &'v Value> {
    let mut valid = BTreeMap::new();
    for volume in volumes.items() {
        let before = errors.count;
        source(errors, &volume, within);
        let name = volume.field("name");
        if name.str().is_empty() {
            errors.required(&name, "must be set; every volume needs a name");
        } else {
            errors.check(&name, names::label);
        }
        if valid.contains_key(name.str()) {
            errors.duplicate(&name, name.str());
        }
        if errors.count == before
            && let Some(value) = volume.value()
        {
            valid.insert(name.str(), value);
        }
    }
    valid
}

fn source(errors: &mut Errors, volume: &At<'_, '_>, within: Within) {
    let mut count = 0;
    for (kind, spelled) in SOURCES {
        let source = volume.field(kind);
        if !source.is_set() {
            continue;
        }
        count += 1;
        if count > 1 {
            errors.forbidden(
                &volume.field(spelled),
                "a volume has only one source; keep one",
            );
            continue;
        }
        match kind {
            "emptyDir" => empty_dir(errors, &source),
            "hostPath" => host_path(errors, &source),
            "secret" => keys(errors, &source, "secretName"),
            "configMap" => keys(errors, &source, "name"),
            "downwardAPI" => {
                mode(errors, &source.field("defaultMode"));
                for file in source.field("items").items() {
                    downward_file(errors, &source, &file);
                }
            }
            "projected" => projected(errors, &source),
            "image" => {
                let reference = source.field("reference");
                if within == Within::Pod && reference.str().is_empty() {
                    errors.required(&reference, "must be set, as registry.example/name:tag");
                }
                errors.required_one_of(&source.field("pullPolicy"), &PULL_POLICIES);
            }
            _ => storage::source(errors, volume, kind, &source),
        }
    }
    if count == 0 {
        errors.required(volume, "must have a source, as emptyDir or hostPath");
    }
}

fn empty_dir(errors: &mut Errors, source: &At<'_, '_>) {
    let limit = source.field("sizeLimit");
    if limit.is_set() && limit.quantity().is_negative() {
        errors.forbidden(&limit, format!("is {}; it must be 0 or more", limit.str()));
    }
}

fn host_path(errors: &mut Errors, source: &At<'_, '_>) {
    let path = source.field("path");
    if path.str().is_empty() {
        errors.required(&path, "must be set, as /var/log");
        return;
    }
    errors.check(&path, names::no_backsteps);
    let kinds = [
        "",
        "DirectoryOrCreate",
        "Directory",
        "FileOrCreate",
        "File",
        "Socket",
        "CharDevice",
        "BlockDevice",
    ];
    errors.one_of(&source.field("type"), &kinds);
}

fn mode(errors: &mut Errors, mode: &At<'_, '_>) {
    if mode.is_set()
        && let Some(message) = names::mode(mode.int())
    {
        errors.invalid(mode, message);
    }
}

/// A ConfigMap or Secret, some of whose keys become files.
fn keys(errors: &mut Errors, source: &At<'_, '_>, name_field: &'static str) {
    let name = source.field(name_field);
    if name.str().is_empty() {
        errors.required(&name, "must be set");
    }
    mode(errors, &source.field("defaultMode"));
    for item in source.field("items").items() {
        key_to_path(errors, &item);
    }
}

fn key_to_path(errors: &mut Errors, item: &At<'_, '_>) {
    for name in ["key", "path"] {
        let at = item.field(name);
        if at.str().is_empty() {
            errors.required(&at, "must be set");
        }
    }
    errors.check(&item.field("path"), names::volume_path);
    mode(errors, &item.field("mode"));
}

/// A file that shows a field or resource; the reference reports it on the source as a whole.
fn downward_file(errors: &mut Errors, source: &At<'_, '_>, file: &At<'_, '_>) {
    let mut inner = Errors::default();
    let path = file.field("path");
    if path.str().is_empty() {
        inner.required(&path, "must be set");
    }
    inner.check(&path, names::volume_path);
    let (field, resource) = (file.field("fieldRef"), file.field("resourceFieldRef"));
    if field.is_set() {
        field_ref(&mut inner, &field, &VOLUME_FIELDS);
        if resource.is_set() {
            inner.invalid(file, "must hold only one of fieldRef and resourceFieldRef");
        }
    } else if resource.is_set() {
        resource_ref(&mut inner, &resource, true);
    } else {
        inner.required(file, "must hold fieldRef or resourceFieldRef");
    }
    mode(&mut inner, &file.field("mode"));
    let (own, reported) = (file.path(), source.path());
    for error in inner.found {
        let rest = error.field.strip_prefix(&own).unwrap_or_default();
        errors.add(format!("{reported}{rest}"), error.cause, error.message);
    }
}

/// How long a service account token may be good for, in seconds.
const TOKEN_SECONDS: std::ops::RangeInclusive<i64> = 600..=1 << 32;

fn projected(errors: &mut Errors, projected: &At<'_, '_>) {
    mode(errors, &projected.field("defaultMode"));
    let mut paths = BTreeSet::new();
    for source in projected.field("sources").items() {
        let mut files: Vec<&str> = Vec::new();
        for kind in ["secret", "configMap"] {
            let at = source.field(kind);
            if at.is_set() {
                keys(errors, &at, "name");
                let items = at.field("items");
                files.extend(items.items().map(|item| item.field("path").str()));
            }
        }
        let downward = source.field("downwardAPI");
        for file in downward.field("items").items() {
            downward_file(errors, &downward, &file);
            files.push(file.field("path").str());
        }
        let token = source.field("serviceAccountToken");
        if token.is_set() {
            service_account_token(errors, projected, &token);
        }
        for path in files.into_iter().filter(|path| !path.is_empty()) {
            if !paths.insert(path) {
                let message = format!("two sources have a file {path:?}; paths are unique");
                errors.invalid(projected, message);
            }
        }
        let kinds = ["secret", "configMap", "downwardAPI", "serviceAccountToken"];
        if kinds
            .iter()
            .filter(|kind| source.field(kind).is_set())
            .count()
            > 1
        {
            errors.forbidden(
                &source,
                "each entry has only one source; make it two entries",
            );
        }
    }
}

fn service_account_token(errors: &mut Errors, projected: &At<'_, '_>, token: &At<'_, '_>) {
    let expiration = token.field("expirationSeconds");
    if !TOKEN_SECONDS.contains(&expiration.int()) {
        let (min, max) = (TOKEN_SECONDS.start(), TOKEN_SECONDS.end());
        errors.invalid(
            &expiration,
            format!("is {}; use {min} to {max}", expiration.int()),
        );
    }
    // The reference reports the path on the volume as a whole.
    let (path, reported) = (token.field("path"), projected.field("path"));
    if path.str().is_empty() {
        errors.required(&reported, "the service account token needs a path");
    } else if let Some(message) = names::volume_path(path.str()) {
        errors.add(reported.path(), Cause::Invalid, message);
    }
}
