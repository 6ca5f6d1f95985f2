//! The DaemonSet as the agent has admitted it: immutable, its fields private.

use k8s_openapi::api::apps::v1::{DaemonSet as Object, DaemonSetSpec};
use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{FieldError, ObjectKey, Revision};

/// An admitted DaemonSet.
#[derive(Debug, Clone, PartialEq)]
pub struct DaemonSet {
    key: ObjectKey,
    revision: Revision,
    object: Object,
}

#[allow(missing_docs)]
impl DaemonSet {
    pub fn key(&self) -> &ObjectKey {
        &self.key
    }
    pub fn revision(&self) -> &Revision {
        &self.revision
    }
    pub fn object(&self) -> &Object {
        &self.object
    }
    pub fn metadata(&self) -> &ObjectMeta {
        &self.object.metadata
    }
    pub fn spec(&self) -> &DaemonSetSpec {
        self.object
            .spec
            .as_ref()
            .expect("an admitted DaemonSet has a spec")
    }
    pub fn template(&self) -> &PodTemplateSpec {
        &self.spec().template
    }
    pub fn pod_spec(&self) -> &PodSpec {
        self.template()
            .spec
            .as_ref()
            .expect("an admitted template has a spec")
    }
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata()
            .annotations
            .as_ref()?
            .get(name)
            .map(String::as_str)
    }
    pub fn unsupported(&self) -> Vec<FieldError> {
        Vec::new()
    }
}
