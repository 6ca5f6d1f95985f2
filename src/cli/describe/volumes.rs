//! The volumes of a pod or of a pod template.

use k8s_openapi::api::core::v1::{Volume, VolumeProjection};

use super::page::{NONE, Page};

/// Writes volumes.
pub(super) fn write(depth: usize, volumes: &[Volume], page: &mut Page) {
    if volumes.is_empty() {
        page.field(depth, "Volumes", NONE);
        return;
    }
    page.text(depth, "Volumes:");
    for volume in volumes {
        page.text(depth + 1, format!("{}:", volume.name));
        one(depth + 2, volume, page);
    }
}

fn one(depth: usize, volume: &Volume, page: &mut Page) {
    let optional = |optional: Option<bool>| optional.unwrap_or(false).to_string();
    if let Some(path) = &volume.host_path {
        page.field(depth, "Type", "HostPath (bare host directory volume)");
        page.field(depth, "Path", &*path.path);
        page.field(
            depth,
            "HostPathType",
            path.type_.clone().unwrap_or_default(),
        );
    } else if let Some(empty) = &volume.empty_dir {
        page.field(
            depth,
            "Type",
            "EmptyDir (a temporary directory that shares a pod's lifetime)",
        );
        page.field(depth, "Medium", empty.medium.clone().unwrap_or_default());
        let limit = empty
            .size_limit
            .as_ref()
            .map_or("<unset>", |limit| limit.0.as_str());
        page.field(depth, "SizeLimit", limit);
    } else if let Some(map) = &volume.config_map {
        page.field(
            depth,
            "Type",
            "ConfigMap (a volume populated by a ConfigMap)",
        );
        page.field(depth, "Name", &*map.name);
        page.field(depth, "Optional", optional(map.optional));
    } else if let Some(secret) = &volume.secret {
        page.field(depth, "Type", "Secret (a volume populated by a Secret)");
        page.field(
            depth,
            "SecretName",
            secret.secret_name.clone().unwrap_or_default(),
        );
        page.field(depth, "Optional", optional(secret.optional));
    } else {
        made(depth, volume, page);
    }
}

/// What is made for the pod alone.
fn made(depth: usize, volume: &Volume, page: &mut Page) {
    if let Some(downward) = &volume.downward_api {
        page.field(
            depth,
            "Type",
            "DownwardAPI (a volume populated by information about the pod)",
        );
        page.text(depth, "Items:");
        for item in downward.items.iter().flatten() {
            let field = item
                .field_ref
                .as_ref()
                .map(|field| field.field_path.as_str());
            let resource = item
                .resource_field_ref
                .as_ref()
                .map(|r| r.resource.as_str());
            let from = field.or(resource).unwrap_or_default();
            page.text(depth + 1, format!("{from} -> {}", item.path));
        }
    } else if let Some(image) = &volume.image {
        page.field(depth, "Type", "Image (a container image or OCI artifact)");
        page.field(
            depth,
            "Reference",
            image.reference.clone().unwrap_or_default(),
        );
        page.field(
            depth,
            "PullPolicy",
            image.pull_policy.clone().unwrap_or_default(),
        );
    } else if let Some(projected) = &volume.projected {
        page.field(
            depth,
            "Type",
            "Projected (a volume that contains injected data from multiple sources)",
        );
        let sources = projected.sources.iter().flatten();
        sources.for_each(|source| self::source(depth, source, page));
    } else {
        page.field(depth, "Type", "<unknown>");
    }
}

fn source(depth: usize, source: &VolumeProjection, page: &mut Page) {
    if let Some(map) = &source.config_map {
        page.field(depth, "ConfigMapName", &*map.name);
        page.field(depth, "Optional", map.optional.unwrap_or(false).to_string());
    } else if let Some(secret) = &source.secret {
        page.field(depth, "SecretName", &*secret.name);
        page.field(
            depth,
            "Optional",
            secret.optional.unwrap_or(false).to_string(),
        );
    } else if source.downward_api.is_some() {
        page.field(depth, "DownwardAPI", "true");
    }
}
