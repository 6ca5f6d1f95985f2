//! An admitted DaemonSet: decoded, defaulted, valid, and never changed afterwards.
//!
//! Only [`super::admit`] and [`super::admit_value`] make one. Its revision is a hash of the
//! defaulted template alone, so that another spelling of the same thing rolls nothing.

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

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
