//! Volume sources that need a storage driver: checked as the reference does, never mounted.

use super::at::{At, Errors};
use super::{labels, names};
use crate::api::Cause;

/// Checks one source of a volume.
pub(crate) fn source(errors: &mut Errors, volume: &At<'_, '_>, kind: &str, source: &At<'_, '_>) {
    for name in required_fields(kind) {
        let at = source.field(name);
        if at.str().is_empty() && at.len() == 0 {
            errors.required(&reported(volume, kind, source).field(name), "must be set");
        }
    }
    match kind {
        "gitRepo" => errors.check(&source.field("directory"), names::relative),
        "gcePersistentDisk" | "awsElasticBlockStore" => partition(errors, volume, kind, source),
        "nfs" => {
            let path = source.field("path");
            if !path.str().starts_with('/') {
                errors.invalid(&path, "must be an absolute path");
            }
        }
        "iscsi" => iscsi(errors, volume, source),
        "flocker" => flocker(errors, source),
        "quobyte" => quobyte(errors, source),
        "fc" => fibre_channel(errors, source),
        "flexVolume" => flex_volume(errors, source),
        "azureDisk" => azure_disk(errors, source),
        "storageos" => storage_os(errors, source),
        "csi" => csi(errors, source),
        "ephemeral" => ephemeral(errors, source),
        _ => {}
    }
    if ["cinder", "storageos"].contains(&kind) {
        let secret = source.field("secretRef");
        if secret.is_set() && secret.field("name").str().is_empty() {
            errors.required(&secret.field("name"), "must be set");
        }
    }
}

/// The fields each kind must have.
fn required_fields(kind: &str) -> &'static [&'static str] {
    match kind {
        "gitRepo" => &["repository"],
        "gcePersistentDisk" => &["pdName"],
        "awsElasticBlockStore" | "cinder" | "portworxVolume" => &["volumeID"],
        "nfs" => &["server", "path"],
        "iscsi" => &["targetPortal", "iqn"],
        "glusterfs" => &["endpoints", "path"],
        "persistentVolumeClaim" => &["claimName"],
        "rbd" => &["monitors", "image"],
        "cephfs" => &["monitors"],
        "quobyte" => &["registry", "volume"],
        "flexVolume" => &["driver"],
        "azureFile" => &["secretName", "shareName"],
        "vsphereVolume" => &["volumePath"],
        "photonPersistentDisk" => &["pdID"],
        "azureDisk" => &["diskName", "diskURI"],
        "storageos" => &["volumeName"],
        "scaleIO" => &["gateway", "system", "volumeName"],
        "csi" => &["driver"],
        _ => &[],
    }
}

/// Where the reference reports errors of a source: one kind has another name there.
fn reported<'s, 'v>(volume: &'s At<'_, 'v>, kind: &str, source: &At<'s, 'v>) -> At<'s, 'v> {
    match kind {
        "gcePersistentDisk" => volume.field("persistentDisk"),
        _ => *source,
    }
}

fn partition(errors: &mut Errors, volume: &At<'_, '_>, kind: &str, source: &At<'_, '_>) {
    let number = source.field("partition").int();
    if !(0..=255).contains(&number) {
        let at = reported(volume, kind, source);
        errors.invalid(&at.field("partition"), format!("is {number}; use 0 to 255"));
    }
}

/// Whether this is an iSCSI name: `iqn.YYYY-MM.domain:name`, `eui.` or `naa.` and hex digits.
fn is_iscsi_name(name: &str) -> bool {
    let hex = |text: &str, lengths: &[usize]| {
        lengths.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
    };
    if let Some(rest) = name.strip_prefix("eui.") {
        return hex(rest, &[16]);
    }
    if let Some(rest) = name.strip_prefix("naa.") {
        return hex(rest, &[16, 32]);
    }
    let Some(rest) = name.strip_prefix("iqn.") else {
        return false;
    };
    let Some((date, rest)) = rest.split_once('.') else {
        return false;
    };
    let dated = date.len() == 7
        && date.bytes().enumerate().all(|(i, b)| {
            if i == 4 {
                b == b'-'
            } else {
                b.is_ascii_digit()
            }
        });
    let domain = rest.split(':').next().unwrap_or_default();
    dated
        && domain
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-.".contains(c))
}

fn iscsi(errors: &mut Errors, volume: &At<'_, '_>, source: &At<'_, '_>) {
    let (iqn, initiator) = (source.field("iqn"), source.field("initiatorName"));
    if !iqn.str().is_empty() && !is_iscsi_name(iqn.str()) {
        errors.invalid(
            &iqn,
            "must be an iSCSI name beginning with iqn., eui. or naa.",
        );
    }
    let lun = source.field("lun");
    if !(0..=255).contains(&lun.int()) {
        errors.invalid(&lun, format!("is {}; use 0 to 255", lun.int()));
    }
    let auth = ["chapAuthDiscovery", "chapAuthSession"];
    if auth.iter().any(|name| source.field(name).is_true()) && !source.field("secretRef").is_set() {
        errors.required(&source.field("secretRef"), "must be set where CHAP is used");
    }
    if !initiator.is_set() {
        return;
    }
    if !is_iscsi_name(initiator.str()) {
        let at = source.field("initiatorname");
        errors.invalid(
            &at,
            "must be an iSCSI name beginning with iqn., eui. or naa.",
        );
    }
    let name = volume.field("name");
    if name.str().len() + 1 + source.field("targetPortal").str().len() > 64 {
        errors.invalid(
            &name,
            "must be shorter: with ':' and targetPortal it may have 64 characters",
        );
    }
}

fn flocker(errors: &mut Errors, source: &At<'_, '_>) {
    let (name, uuid) = (source.field("datasetName"), source.field("datasetUUID"));
    match (name.str().is_empty(), uuid.str().is_empty()) {
        (true, true) => errors.required(source, "must hold datasetName or datasetUUID"),
        (false, false) => errors.invalid(source, "must hold only one of datasetName, datasetUUID"),
        _ => {}
    }
    if name.str().contains('/') {
        errors.invalid(&name, "must not contain '/'");
    }
}

fn quobyte(errors: &mut Errors, source: &At<'_, '_>) {
    let (registry, tenant) = (source.field("registry"), source.field("tenant"));
    if registry.str().is_empty() {
        return;
    }
    if tenant.str().len() >= 65 {
        errors.required(&tenant, "must be a UUID of at most 64 characters");
    } else if !registry.str().split(',').all(|pair| pair.contains(':')) {
        errors.invalid(
            &registry,
            "must be host:port, or several separated by commas",
        );
    }
}

fn fibre_channel(errors: &mut Errors, source: &At<'_, '_>) {
    let (targets, ids) = (source.field("targetWWNs"), source.field("wwids"));
    match (targets.len() > 0, ids.len() > 0) {
        (false, false) => errors.required(&targets, "must be set, or wwids"),
        (true, true) => errors.invalid(&targets, "excludes wwids; keep one of the two"),
        _ => {}
    }
    let lun = source.field("lun");
    if targets.len() > 0 && !lun.is_set() {
        errors.required(&lun, "must be set where there are targetWWNs");
    } else if targets.len() > 0 && !(0..=255).contains(&lun.int()) {
        errors.invalid(&lun, format!("is {}; use 0 to 255", lun.int()));
    }
}

fn flex_volume(errors: &mut Errors, source: &At<'_, '_>) {
    for (key, option) in source.field("options").entries() {
        let namespace = key.split('/').next().unwrap_or_default().to_lowercase();
        let domain = format!(".{namespace}");
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            errors.invalid(&option, "the domains kubernetes.io and k8s.io are reserved");
        }
    }
}

fn azure_disk(errors: &mut Errors, source: &At<'_, '_>) {
    let (caching, kind) = (source.field("cachingMode"), source.field("kind"));
    if caching.is_set() {
        errors.one_of(&caching, &["None", "ReadOnly", "ReadWrite"]);
    }
    if kind.is_set() {
        errors.one_of(&kind, &["Shared", "Dedicated", "Managed"]);
    }
    let uri = source.field("diskURI");
    let wanted = if kind.str() == "Managed" {
        "/subscriptions/"
    } else {
        "https://"
    };
    if kind.is_set() && !uri.str().starts_with(wanted) {
        let message = format!("must begin with {wanted} for this kind of disk");
        errors.add(uri.path(), Cause::NotSupported, message);
    }
}

fn storage_os(errors: &mut Errors, source: &At<'_, '_>) {
    for name in ["volumeName", "volumeNamespace"] {
        let at = source.field(name);
        if !at.str().is_empty() {
            errors.check(&at, names::label);
        }
    }
}

fn csi(errors: &mut Errors, source: &At<'_, '_>) {
    let driver = source.field("driver");
    if driver.str().len() > 63 {
        errors.add(
            driver.path(),
            Cause::TooLong,
            "must have at most 63 characters",
        );
    }
    let complaint = names::subdomain(&driver.str().to_lowercase());
    if let Some(message) = complaint.filter(|_| !driver.str().is_empty()) {
        errors.invalid(&driver, message);
    }
    let secret = source.field("nodePublishSecretRef");
    let name = secret.field("name");
    if secret.is_set() && name.str().is_empty() {
        errors.required(&name, "must be set");
    } else if secret.is_set()
        && let Some(message) = names::subdomain(name.str())
    {
        errors.invalid(&source.field("name"), message);
    }
}

fn ephemeral(errors: &mut Errors, source: &At<'_, '_>) {
    let template = source.field("volumeClaimTemplate");
    if !template.is_set() {
        errors.required(&template, "must be set");
        return;
    }
    let metadata = template.field("metadata");
    let (all, given) = (metadata.field("labels"), metadata.field("annotations"));
    labels::labels(errors, &all, &all.path());
    labels::annotations(errors, &given, &given.path());
    for (name, _) in metadata.entries() {
        if !["labels", "annotations"].contains(&name) {
            errors.forbidden(&metadata.field(name), "cannot be set here; remove it");
        }
    }
    claim(errors, &template.field("spec"));
}

fn claim(errors: &mut Errors, spec: &At<'_, '_>) {
    let modes = spec.field("accessModes");
    if modes.len() == 0 {
        errors.required(&modes, "must list at least one mode, as ReadWriteOnce");
    }
    let known = [
        "ReadWriteOnce",
        "ReadOnlyMany",
        "ReadWriteMany",
        "ReadWriteOncePod",
    ];
    for mode in modes.items().filter(|mode| !known.contains(&mode.str())) {
        errors.unsupported(modes.path(), mode.str(), &known);
    }
    let alone = modes.items().any(|mode| mode.str() == "ReadWriteOncePod");
    if alone && modes.items().any(|mode| known[..3].contains(&mode.str())) {
        errors.forbidden(&modes, "ReadWriteOncePod excludes the other modes");
    }
    labels::selector(errors, &spec.field("selector"));
    let resources = spec.field("resources");
    let requests = resources.field("requests");
    let storage = requests.entry("storage");
    let reported = resources.entry("storage");
    if !storage.is_set() {
        errors.required(&reported, "resources.requests.storage must be set, as 1Gi");
    } else if storage.quantity().is_negative() || storage.quantity().is_zero() {
        errors.invalid(
            &reported,
            format!("is {}; it must be more than 0", storage.str()),
        );
    }
    let class = spec.field("storageClassName");
    if !class.str().is_empty() {
        errors.check(&class, names::subdomain);
    }
    let mode = spec.field("volumeMode");
    if mode.is_set() {
        errors.one_of(&mode, &["Block", "Filesystem"]);
    }
    let data = spec.field("dataSource");
    for name in ["name", "kind"] {
        let at = data.field(name);
        if data.is_set() && at.str().is_empty() {
            errors.required(&at, "must be set");
        }
    }
}
