//! ConfigMaps and Secrets: keys, sizes, and what the type of a Secret asks for.

use super::at::{At, Errors};
use super::names;
use crate::api::Cause;

/// As many bytes may the data of one object take.
const MAX_SIZE: usize = 1024 * 1024;

/// Checks a ConfigMap.
pub(crate) fn config_map(errors: &mut Errors, map: &At<'_, '_>) {
    let (data, binary) = (map.field("data"), map.field("binaryData"));
    let mut size = 0;
    for (key, value) in data.entries() {
        errors_of_key(errors, &value, key);
        if binary.entry(key).is_set() {
            let message = format!("{key:?} is in binaryData too; keep it in one of the two");
            errors.invalid(&value, message);
        }
        size += value.str().len();
    }
    for (key, value) in binary.entries() {
        errors_of_key(errors, &value, key);
        size += decoded_size(value.str());
    }
    if size > MAX_SIZE {
        too_large(errors, &map.field("data"), size, String::new());
    }
}

/// Checks a Secret; its `stringData` counts as data.
pub(crate) fn secret(errors: &mut Errors, secret: &At<'_, '_>) {
    let (data, text) = (secret.field("data"), secret.field("stringData"));
    let mut size = 0;
    for (key, value) in data.entries().filter(|(key, _)| !text.entry(key).is_set()) {
        errors_of_key(errors, &value, key);
        size += decoded_size(value.str());
    }
    for (key, value) in text.entries() {
        errors_of_key(errors, &value, key);
        size += value.str().len();
    }
    if size > MAX_SIZE {
        too_large(errors, &data, size, data.path());
    }
    required_keys(errors, secret, &data, &text);
}

fn errors_of_key(errors: &mut Errors, at: &At<'_, '_>, key: &str) {
    if let Some(message) = names::config_key(key) {
        errors.invalid(at, message);
    }
}

fn too_large(errors: &mut Errors, _at: &At<'_, '_>, size: usize, path: String) {
    let message = format!("the data takes {size} bytes; {MAX_SIZE} are allowed");
    errors.add(path, Cause::TooLong, message);
}

fn decoded_size(base64: &str) -> usize {
    base64.trim_end_matches('=').len() * 3 / 4
}

/// The keys that the type of a Secret promises.
fn required_keys(errors: &mut Errors, secret: &At<'_, '_>, data: &At<'_, '_>, text: &At<'_, '_>) {
    let has = |key: &str| {
        [data, text]
            .iter()
            .any(|at| at.value().is_some_and(|map| map.get(key).is_some()))
    };
    let mut require = |keys: &'static [&'static str]| {
        for key in keys {
            if !has(key) {
                errors.required(&data.entry(key), "must be there for a Secret of this type");
            }
        }
    };
    match secret.field("type").str() {
        "kubernetes.io/dockerconfigjson" => require(&[".dockerconfigjson"]),
        "kubernetes.io/dockercfg" => require(&[".dockercfg"]),
        "kubernetes.io/ssh-auth" => require(&["ssh-privatekey"]),
        "kubernetes.io/tls" => require(&["tls.crt", "tls.key"]),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            require(&["username", "password"]);
        }
        "kubernetes.io/service-account-token" => {
            let metadata = secret.field("metadata");
            let annotations = metadata.field("annotations");
            let name = annotations.entry("kubernetes.io/service-account.name");
            if name.str().is_empty() {
                errors.required(&name, "must name the service account");
            }
        }
        _ => {}
    }
}
