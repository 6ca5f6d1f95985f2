//! Which ConfigMaps and Secrets a pod refers to, from its specification alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, PodSpec, Volume};

use sha2::{Digest, Sha256};

use crate::api::ObjectKey;
use crate::model::{References, Snapshot};

/// Names in the pod's namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReferredNames {
    /// ConfigMaps.
    pub config_maps: BTreeSet<String>,
    /// Secrets, pull secrets included.
    pub secrets: BTreeSet<String>,
}

/// Collects the names a pod refers to.
#[must_use]
pub fn referred_names(spec: &PodSpec) -> ReferredNames {
    let mut names = ReferredNames::default();
    for container in spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers)
    {
        of_environment(container, &mut names);
    }
    for volume in spec.volumes.iter().flatten() {
        of_volume(volume, &mut names);
    }
    let pull = spec
        .image_pull_secrets
        .iter()
        .flatten()
        .map(|secret| secret.name.clone());
    names.secrets.extend(pull);
    names
}

/// The objects among those that exist in a snapshot.
#[must_use]
pub fn resolve(namespace: &str, names: &ReferredNames, snapshot: &Snapshot) -> References {
    References {
        config_maps: pick(namespace, &names.config_maps, &snapshot.config_maps),
        secrets: pick(namespace, &names.secrets, &snapshot.secrets),
    }
}

/// A hash of the objects' content, hexadecimal; empty where nothing is referred to that exists.
#[must_use]
pub fn digest(references: &References) -> String {
    if *references == References::default() {
        return String::new();
    }
    let mut hash = Sha256::new();
    let mut add = |kind: &str, name: &str, data: serde_json::Value| {
        hash.update(serde_json::json!([kind, name, data]).to_string());
    };
    for (name, map) in &references.config_maps {
        add(
            "ConfigMap",
            name,
            serde_json::json!([map.data, map.binary_data]),
        );
    }
    for (name, secret) in &references.secrets {
        add(
            "Secret",
            name,
            serde_json::json!([secret.data, secret.type_]),
        );
    }
    let hash = hash.finalize();
    hash.iter()
        .take(10)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn pick<T>(
    namespace: &str,
    names: &BTreeSet<String>,
    objects: &BTreeMap<ObjectKey, Arc<T>>,
) -> BTreeMap<String, Arc<T>> {
    let found = |name: &String| {
        let object = objects.get(&ObjectKey::new(namespace, name.as_str()))?;
        Some((name.clone(), Arc::clone(object)))
    };
    names.iter().filter_map(found).collect()
}

fn of_environment(container: &Container, names: &mut ReferredNames) {
    for source in container.env_from.iter().flatten() {
        names
            .config_maps
            .extend(source.config_map_ref.iter().map(|r| r.name.clone()));
        names
            .secrets
            .extend(source.secret_ref.iter().map(|r| r.name.clone()));
    }
    for from in container
        .env
        .iter()
        .flatten()
        .filter_map(|env| env.value_from.as_ref())
    {
        names
            .config_maps
            .extend(from.config_map_key_ref.iter().map(|r| r.name.clone()));
        names
            .secrets
            .extend(from.secret_key_ref.iter().map(|r| r.name.clone()));
    }
}

fn of_volume(volume: &Volume, names: &mut ReferredNames) {
    names
        .config_maps
        .extend(volume.config_map.iter().map(|source| source.name.clone()));
    names.secrets.extend(
        volume
            .secret
            .iter()
            .filter_map(|source| source.secret_name.clone()),
    );
    let projected = volume
        .projected
        .iter()
        .flat_map(|projected| projected.sources.iter().flatten());
    for source in projected {
        names
            .config_maps
            .extend(source.config_map.iter().map(|s| s.name.clone()));
        names
            .secrets
            .extend(source.secret.iter().map(|s| s.name.clone()));
    }
}
