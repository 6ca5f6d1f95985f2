//! What stands in configMap, secret, downwardAPI and projected volumes.
//!
//! Follows kubelet v1.36's `MakePayload` of each plugin and its `projected` plugin: items or all
//! keys, modes, optional objects and keys. Pure: the objects come with the desired pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, Volume};

use super::content::{Medium, Payload};
use super::writer::File;
use super::{Context, Error};
use crate::model::downward;

/// The mode of files where the volume says nothing.
const DEFAULT_MODE: i32 = 0o644;

/// An object a volume takes its files from.
#[derive(Clone, Copy)]
enum Object<'a> {
    ConfigMap(&'a str),
    Secret(&'a str),
}

/// The files of a volume; none for volumes of another kind.
pub(super) fn payload(context: &Context<'_>, volume: &Volume) -> Result<Option<Payload>, Error> {
    let mut files = Files {
        context,
        volume: &volume.name,
        mode: DEFAULT_MODE,
        files: BTreeMap::new(),
    };
    let (kind, medium) = if let Some(source) = &volume.config_map {
        files.mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        let object = Object::ConfigMap(&source.name);
        files.of_object(
            object,
            source.items.as_deref(),
            source.optional == Some(true),
        )?;
        ("configmap", Medium::Disk)
    } else if let Some(source) = &volume.secret {
        files.mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        let object = Object::Secret(source.secret_name.as_deref().unwrap_or_default());
        files.of_object(
            object,
            source.items.as_deref(),
            source.optional == Some(true),
        )?;
        ("secret", Medium::Memory)
    } else if let Some(source) = &volume.downward_api {
        files.mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        files.of_pod(source.items.as_deref().unwrap_or_default())?;
        ("downward-api", Medium::Memory)
    } else if volume.projected.is_some() {
        files.of_sources(volume)?;
        ("projected", Medium::Memory)
    } else {
        return Ok(None);
    };
    Ok(Some(Payload {
        kind,
        medium,
        files: files.files,
    }))
}

/// The files of a volume while they are gathered.
struct Files<'a> {
    context: &'a Context<'a>,
    volume: &'a str,
    mode: i32,
    files: BTreeMap<String, File>,
}

impl Files<'_> {
    fn of_sources(&mut self, volume: &Volume) -> Result<(), Error> {
        let Some(projected) = &volume.projected else {
            return Ok(());
        };
        self.mode = projected.default_mode.unwrap_or(DEFAULT_MODE);
        for source in projected.sources.iter().flatten() {
            if let Some(from) = &source.config_map {
                let object = Object::ConfigMap(&from.name);
                self.of_object(object, from.items.as_deref(), from.optional == Some(true))?;
            } else if let Some(from) = &source.secret {
                let object = Object::Secret(&from.name);
                self.of_object(object, from.items.as_deref(), from.optional == Some(true))?;
            } else if let Some(from) = &source.downward_api {
                self.of_pod(from.items.as_deref().unwrap_or_default())?;
            } else {
                return Err(self.unsupported(if source.service_account_token.is_some() {
                    "a service account token without an API server"
                } else {
                    "a projected source of this type"
                }));
            }
        }
        Ok(())
    }

    fn of_object(
        &mut self,
        object: Object<'_>,
        items: Option<&[KeyToPath]>,
        optional: bool,
    ) -> Result<(), Error> {
        let Some(content) = self.content(object) else {
            if optional {
                return Ok(());
            }
            let (kind, name) = match object {
                Object::ConfigMap(name) => ("configmap", name),
                Object::Secret(name) => ("secret", name),
            };
            return Err(Error::NotFound {
                volume: self.volume.to_owned(),
                kind,
                name: name.to_owned(),
            });
        };
        let Some(items) = items.filter(|items| !items.is_empty()) else {
            for (key, bytes) in content {
                self.add(&key, bytes, None);
            }
            return Ok(());
        };
        for item in items {
            match content.get(&item.key) {
                Some(bytes) => self.add(&item.path, bytes.clone(), item.mode),
                None if optional => {}
                None => {
                    return Err(Error::NoKey {
                        volume: self.volume.to_owned(),
                        kind: match object {
                            Object::ConfigMap(_) => "config",
                            Object::Secret(_) => "secret",
                        },
                        key: item.key.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Everything in an object, where it is there.
    fn content(&self, object: Object<'_>) -> Option<BTreeMap<String, Vec<u8>>> {
        let references = &self.context.pod.references;
        let mut content = BTreeMap::new();
        match object {
            Object::ConfigMap(name) => {
                let map = references.config_maps.get(name)?;
                for (key, text) in map.data.iter().flatten() {
                    content.insert(key.clone(), text.clone().into_bytes());
                }
                for (key, bytes) in map.binary_data.iter().flatten() {
                    content.insert(key.clone(), bytes.0.clone());
                }
            }
            Object::Secret(name) => {
                let secret = references.secrets.get(name)?;
                for (key, bytes) in secret.data.iter().flatten() {
                    content.insert(key.clone(), bytes.0.clone());
                }
            }
        }
        Some(content)
    }

    fn of_pod(&mut self, items: &[DownwardAPIVolumeFile]) -> Result<(), Error> {
        let pod = self.context.pod;
        let node = self.context.node;
        for item in items {
            let text = if let Some(field) = &item.field_ref {
                downward::field(&pod.record.pod, &field.field_path, node, &[])
            } else if let Some(selector) = &item.resource_field_ref {
                downward::resource(pod.spec(), None, selector, node)
            } else {
                None
            };
            match text {
                Some(text) => self.add(&item.path, text.into_bytes(), item.mode),
                None => return Err(self.unsupported(&format!("the field of item {}", item.path))),
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &str, content: Vec<u8>, mode: Option<i32>) {
        let mode = u32::try_from(mode.unwrap_or(self.mode)).unwrap_or(0o644);
        self.files.insert(path.to_owned(), File { content, mode });
    }

    fn unsupported(&self, what: &str) -> Error {
        Error::Unsupported {
            volume: self.volume.to_owned(),
            what: what.to_owned(),
        }
    }
}
