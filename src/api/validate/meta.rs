//! Metadata: names, labels, annotations, finalizers and owners.

use super::at::{At, Errors};
use super::{labels, names};

/// Checks the metadata of an object whose name is a DNS subdomain.
pub(crate) fn metadata(errors: &mut Errors, meta: &At<'_, '_>) {
    let (name, generate) = (meta.field("name"), meta.field("generateName"));
    if !generate.str().is_empty() {
        errors.check(&generate, names::subdomain_prefix);
    }
    if name.str().is_empty() {
        errors.required(&name, "must be set; every object needs a name");
    } else {
        errors.check(&name, names::subdomain);
    }
    errors.check(&meta.field("namespace"), names::label);
    let all = meta.field("labels");
    labels::labels(errors, &all, &all.path());
    let annotations = meta.field("annotations");
    labels::annotations(errors, &annotations, &annotations.path());
    owners(errors, &meta.field("ownerReferences"));
    finalizers(errors, &meta.field("finalizers"));
}

fn owners(errors: &mut Errors, owners: &At<'_, '_>) {
    let mut controllers = 0;
    for owner in owners.items() {
        let version = owner.field("apiVersion").str();
        let parts: Vec<&str> = version.split('/').collect();
        if parts.len() > 2 || parts.last().is_none_or(|version| version.is_empty()) {
            errors.invalid(&owners.field("apiVersion"), "must be set, as v1 or apps/v1");
        }
        for name in ["kind", "name", "uid"] {
            if owner.field(name).str().is_empty() {
                errors.invalid(&owners.field(name), "must be set for each owner");
            }
        }
        if version == "v1" && owner.field("kind").str() == "Event" {
            errors.invalid(owners, "an Event cannot own anything");
        }
        controllers += usize::from(owner.field("controller").is_true());
    }
    if controllers > 1 {
        errors.invalid(owners, "only one owner may be the controller");
    }
}

fn finalizers(errors: &mut Errors, finalizers: &At<'_, '_>) {
    let mut orphan = false;
    let mut foreground = false;
    for finalizer in finalizers.items() {
        let name = finalizer.str();
        if let Some(message) = names::qualified(name) {
            errors.invalid(finalizers, message);
        }
        if !name.contains('/') && !["orphan", "foregroundDeletion", "kubernetes"].contains(&name) {
            let message =
                format!("{name:?} needs a domain and '/' in front, as example.com/{name}");
            errors.invalid(&finalizer, message);
        }
        orphan |= name == "orphan";
        foreground |= name == "foregroundDeletion";
    }
    if orphan && foreground {
        errors.invalid(
            finalizers,
            "orphan and foregroundDeletion exclude each other; keep one",
        );
    }
}
