//! Volume mounts and block devices of a container.

use std::collections::BTreeSet;

use serde_json::Value;

use super::at::{At, Errors};
use super::names;
use super::pod::Context;
use crate::api::Cause;

/// Checks `volumeMounts` and `volumeDevices`.
pub(crate) fn mounts(errors: &mut Errors, container: &At<'_, '_>, context: &Context<'_>) {
    let (mounts, devices) = (
        container.field("volumeMounts"),
        container.field("volumeDevices"),
    );
    let privileged = container
        .value()
        .and_then(|value| value.pointer("/securityContext/privileged"))
        .and_then(Value::as_bool)
        == Some(true);
    let mut paths = BTreeSet::new();
    for mount in mounts.items() {
        let (name, path) = (mount.field("name"), mount.field("mountPath"));
        if name.str().is_empty() {
            errors.required(&name, "must name a volume of the pod");
        }
        if !context.volumes.contains_key(name.str()) {
            errors.not_found(&name, missing(name.str()));
        }
        if path.str().is_empty() {
            errors.required(&path, "must be set, as /data");
        }
        if !paths.insert(path.str()) {
            errors.invalid(
                &path,
                format!("{:?} is mounted before; mount paths are unique", path.str()),
            );
        }
        let taken = |field: &str, value: &str| {
            devices
                .items()
                .any(|device| device.field(field).value() == Some(&Value::from(value)))
        };
        if taken("name", name.str()) {
            errors.invalid(
                &name,
                "is used in volumeDevices too; a volume is one or the other",
            );
        }
        if taken("devicePath", path.str()) {
            errors.invalid(&path, "is used in volumeDevices too");
        }
        sub_paths(errors, &mounts, &mount);
        propagation(errors, &mounts, &mount, privileged);
        recursive_read_only(errors, &mounts, &mount);
    }
    block_devices(errors, &devices, &mounts, context);
}

fn missing(name: &str) -> String {
    format!("there is no valid volume {name:?} in spec.volumes")
}

/// Sub-paths; the reference reports them on the list as a whole.
fn sub_paths(errors: &mut Errors, mounts: &At<'_, '_>, mount: &At<'_, '_>) {
    let (path, expression) = (mount.field("subPath"), mount.field("subPathExpr"));
    if !path.str().is_empty() && !expression.str().is_empty() {
        errors.invalid(
            &expression,
            "must not be set where subPath is; keep one of the two",
        );
    }
    for (name, at) in [("subPath", &path), ("subPathExpr", &expression)] {
        if let Some(message) = names::relative(at.str()) {
            errors.add(mounts.field(name).path(), Cause::Invalid, message);
        }
    }
}

fn propagation(errors: &mut Errors, mounts: &At<'_, '_>, mount: &At<'_, '_>, privileged: bool) {
    let at = mount.field("mountPropagation");
    let reported = mounts.field("mountPropagation").path();
    let allowed = ["None", "HostToContainer", "Bidirectional"];
    if at.is_set() && !allowed.contains(&at.str()) {
        errors.unsupported(reported, at.str(), &allowed);
    } else if at.str() == "Bidirectional" && !privileged {
        let message = "Bidirectional needs a privileged container; set securityContext.privileged";
        errors.add(reported, Cause::Forbidden, message);
    }
}

fn recursive_read_only(errors: &mut Errors, mounts: &At<'_, '_>, mount: &At<'_, '_>) {
    let at = mount.field("recursiveReadOnly");
    if !at.is_set() || at.str() == "Disabled" {
        return;
    }
    let reported = mounts.field("recursiveReadOnly").path();
    if !["IfPossible", "Enabled"].contains(&at.str()) {
        errors.unsupported(reported, at.str(), &["Disabled", "IfPossible", "Enabled"]);
        return;
    }
    if !mount.field("readOnly").is_true() {
        errors.add(reported.clone(), Cause::Forbidden, "needs readOnly: true");
    }
    let propagation = mount.field("mountPropagation");
    if propagation.is_set() && propagation.str() != "None" {
        errors.add(
            reported,
            Cause::Forbidden,
            "needs mountPropagation None, or none given",
        );
    }
}

fn block_devices(
    errors: &mut Errors,
    devices: &At<'_, '_>,
    mounts: &At<'_, '_>,
    context: &Context<'_>,
) {
    let (mut names_seen, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for device in devices.items() {
        let (name, path) = (device.field("name"), device.field("devicePath"));
        if name.str().is_empty() {
            errors.required(&name, "must name a volume of the pod");
        } else if !names_seen.insert(name.str()) {
            errors.invalid(&name, "is there before; a volume is one device");
        }
        match context.volumes.get(name.str()) {
            None => errors.not_found(&name, missing(name.str())),
            Some(source) => {
                let claim = ["persistentVolumeClaim", "ephemeral"];
                if !claim.iter().any(|kind| source.get(*kind).is_some()) {
                    let message = "must be a persistentVolumeClaim or ephemeral volume";
                    errors.invalid(&name, message);
                }
            }
        }
        if path.str().is_empty() {
            errors.required(&path, "must be set, as /dev/xvda");
        }
        if paths.contains(path.str()) {
            errors.invalid(&path, "is there before; device paths are unique");
        }
        match names::no_backsteps(path.str()) {
            Some(message) => errors.invalid(&path, message),
            None => {
                paths.insert(path.str());
            }
        }
        let taken = |field: &str, value: &str| {
            mounts
                .items()
                .any(|mount| mount.field(field).value() == Some(&Value::from(value)))
        };
        if taken("name", name.str()) {
            errors.invalid(
                &name,
                "is used in volumeMounts too; a volume is one or the other",
            );
        }
        if taken("mountPath", path.str()) {
            errors.invalid(&path, "is used in volumeMounts too");
        }
    }
}
