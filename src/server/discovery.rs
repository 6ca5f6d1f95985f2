//! Discovery documents, in the older form that every kubectl reads.

use serde_json::{Value, json};

use super::objects::Resource;

/// What a discovery path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Document {
    /// `/api`
    CoreVersions,
    /// `/apis`
    Groups,
    /// `/apis/apps`
    Apps,
    /// `/api/v1`
    Core,
    /// `/apis/apps/v1`
    AppsV1,
}

/// The document.
pub(super) fn document(which: Document) -> Value {
    match which {
        Document::CoreVersions => json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        }),
        Document::Groups => json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [apps()]}),
        Document::Apps => {
            let mut group = apps();
            group["kind"] = "APIGroup".into();
            group["apiVersion"] = "v1".into();
            group
        }
        Document::Core => resources("v1"),
        Document::AppsV1 => resources("apps/v1"),
    }
}

fn apps() -> Value {
    let version = json!({"groupVersion": "apps/v1", "version": "v1"});
    json!({"name": "apps", "versions": [version], "preferredVersion": version})
}

fn resources(group_version: &str) -> Value {
    let listed = Resource::ALL
        .into_iter()
        .filter(|r| r.group_version() == group_version);
    let mut resources: Vec<Value> = listed.map(resource).collect();
    if group_version == "v1" {
        resources.push(json!({
            "name": "pods/log",
            "singularName": "",
            "namespaced": true,
            "kind": "Pod",
            "verbs": ["get"],
        }));
        resources.push(json!({
            "name": "pods/exec",
            "singularName": "",
            "namespaced": true,
            "kind": "PodExecOptions",
            "verbs": ["create", "get"],
        }));
    }
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": resources,
    })
}

fn resource(resource: Resource) -> Value {
    let mut entry = json!({
        "name": resource.plural(),
        "singularName": resource.kind().to_lowercase(),
        "namespaced": resource.namespaced(),
        "kind": resource.kind(),
        "verbs": verbs(resource),
    });
    if !resource.short().is_empty() {
        entry["shortNames"] = json!([resource.short()]);
    }
    if matches!(resource, Resource::DaemonSets | Resource::Pods) {
        entry["categories"] = json!(["all"]);
    }
    entry
}

/// Pods can be deleted besides, which ends them.
fn verbs(resource: Resource) -> &'static [&'static str] {
    if resource == Resource::Pods {
        &["delete", "get", "list", "watch"]
    } else {
        &["get", "list", "watch"]
    }
}
