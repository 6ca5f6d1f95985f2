//! An admitted DaemonSet: decoded, defaulted, valid, and never changed afterwards.
//!
//! Only [`super::admit`] and [`super::admit_value`] make one. Its revision is a hash of the
//! defaulted template alone, so that another spelling of the same thing rolls nothing.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::after::{self, Condition};
use super::names::{ObjectKey, Revision};
use super::{FieldError, revisions, unsupported};

/// A DaemonSet that was admitted.
#[derive(Debug, Clone, PartialEq)]
pub struct DaemonSet {
    key: ObjectKey,
    revision: Revision,
    object: apps::DaemonSet,
}

impl DaemonSet {
    /// Takes a value that has been defaulted and validated.
    pub(super) fn from_valid(value: Value) -> Result<Self, String> {
        let mut object: apps::DaemonSet = super::admission::from_value(value)?;
        let (Some(namespace), Some(name)) = (&object.metadata.namespace, &object.metadata.name)
        else {
            return Err("has no namespace or no name".to_owned());
        };
        let key = ObjectKey::new(namespace, name);
        let spec = object.spec.get_or_insert_default();
        spec.template.spec.get_or_insert_default();
        let revision = revisions::hash(&spec.template);
        Ok(Self {
            key,
            revision,
            object,
        })
    }

    /// The same set with another template of its own, such as an earlier one.
    #[must_use]
    pub fn with_template(&self, template: PodTemplateSpec) -> Self {
        let mut object = self.object.clone();
        let spec = object.spec.get_or_insert_default();
        spec.template = template;
        spec.template.spec.get_or_insert_default();
        Self {
            key: self.key.clone(),
            revision: revisions::hash(&spec.template),
            object,
        }
    }

    /// The same set with one more annotation on its template, which makes it another revision.
    #[must_use]
    pub fn with_template_annotation(&self, name: &str, value: &str) -> Self {
        let mut template = self.template().clone();
        let metadata = template.metadata.get_or_insert_default();
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.insert(name.to_owned(), value.to_owned());
        self.with_template(template)
    }

    /// A hash of all that the manifest says, hexadecimal: another one for every other content.
    #[must_use]
    pub fn content_hash(&self) -> String {
        let (meta, spec) = (self.metadata(), self.spec());
        let content = serde_json::json!([meta.labels, meta.annotations, spec]);
        let digest = Sha256::digest(content.to_string());
        digest
            .iter()
            .take(10)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Namespace and name.
    #[must_use]
    pub fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// The set's own metadata.
    #[must_use]
    pub fn metadata(&self) -> &ObjectMeta {
        &self.object.metadata
    }

    /// The defaulted spec.
    #[must_use]
    pub fn spec(&self) -> &apps::DaemonSetSpec {
        self.object
            .spec
            .as_ref()
            .expect("from_valid puts a spec there")
    }

    /// The template pods are made from.
    #[must_use]
    pub fn template(&self) -> &PodTemplateSpec {
        &self.spec().template
    }

    /// The template's pod spec.
    #[must_use]
    pub fn pod_spec(&self) -> &PodSpec {
        self.template()
            .spec
            .as_ref()
            .expect("from_valid puts a pod spec there")
    }

    /// The value of an annotation on the set itself.
    #[must_use]
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.object
            .metadata
            .annotations
            .as_ref()?
            .get(name)
            .map(String::as_str)
    }

    /// What it waits for before it is started.
    #[must_use]
    pub fn after(&self) -> BTreeSet<Condition> {
        let text = self.annotation(after::ANNOTATION).unwrap_or_default();
        // What cannot be read was not admitted.
        after::conditions(text, &self.key).unwrap_or_default()
    }

    /// The hash of the defaulted template.
    #[must_use]
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// The whole object.
    #[must_use]
    pub fn object(&self) -> &apps::DaemonSet {
        &self.object
    }

    /// The fields that are valid but that the agent cannot honour; a set that has any is held.
    #[must_use]
    pub fn unsupported(&self) -> Vec<FieldError> {
        unsupported::fields(self.pod_spec())
    }
}
