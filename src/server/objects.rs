//! The Kubernetes resources the agent shows, made of the view at the moment they are asked for.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, NamespaceStatus, Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::version;
use crate::api::ObjectKey;
use crate::model::{EventLog, NodeView, PodReport, SetReport};
use crate::status;

/// A kind of object that can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub(super) enum Resource {
    ConfigMaps,
    ControllerRevisions,
    DaemonSets,
    Events,
    Namespaces,
    Nodes,
    Pods,
}

impl Resource {
    pub(super) const ALL: [Self; 7] = [
        Self::ConfigMaps,
        Self::ControllerRevisions,
        Self::DaemonSets,
        Self::Events,
        Self::Namespaces,
        Self::Nodes,
        Self::Pods,
    ];

    /// The resource a path names.
    pub(super) fn named(group: &str, plural: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|r| r.group() == group && r.plural() == plural)
    }

    /// The API group, empty for the core group.
    pub(super) fn group(self) -> &'static str {
        match self {
            Self::ControllerRevisions | Self::DaemonSets => "apps",
            _ => "",
        }
    }

    /// `v1` or `apps/v1`.
    pub(super) fn group_version(self) -> &'static str {
        match self {
            Self::ControllerRevisions | Self::DaemonSets => "apps/v1",
            _ => "v1",
        }
    }

    /// The name in paths.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::ConfigMaps => "configmaps",
            Self::ControllerRevisions => "controllerrevisions",
            Self::DaemonSets => "daemonsets",
            Self::Events => "events",
            Self::Namespaces => "namespaces",
            Self::Nodes => "nodes",
            Self::Pods => "pods",
        }
    }

    /// The name in messages: `daemonsets.apps`, `pods`.
    pub(super) fn qualified(self) -> String {
        match self.group() {
            "" => self.plural().to_owned(),
            group => format!("{}.{group}", self.plural()),
        }
    }

    /// The object's kind.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::ConfigMaps => "ConfigMap",
            Self::ControllerRevisions => "ControllerRevision",
            Self::DaemonSets => "DaemonSet",
            Self::Events => "Event",
            Self::Namespaces => "Namespace",
            Self::Nodes => "Node",
            Self::Pods => "Pod",
        }
    }

    /// The short name people type.
    pub(super) fn short(self) -> &'static str {
        match self {
            Self::ConfigMaps => "cm",
            Self::ControllerRevisions => "",
            Self::DaemonSets => "ds",
            Self::Events => "ev",
            Self::Namespaces => "ns",
            Self::Nodes => "no",
            Self::Pods => "po",
        }
    }

    /// Whether its objects are in namespaces.
    pub(super) fn namespaced(self) -> bool {
        !matches!(self, Self::Namespaces | Self::Nodes)
    }

    /// Fields that can be selected by, besides name and namespace.
    pub(super) fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Pods => &[
                "spec.nodeName",
                "spec.restartPolicy",
                "spec.schedulerName",
                "spec.serviceAccountName",
                "spec.hostNetwork",
                "status.phase",
                "status.podIP",
                "status.nominatedNodeName",
            ],
            Self::Events => &[
                "involvedObject.kind",
                "involvedObject.namespace",
                "involvedObject.name",
                "involvedObject.uid",
                "involvedObject.apiVersion",
                "involvedObject.resourceVersion",
                "involvedObject.fieldPath",
                "reason",
                "reportingComponent",
                "source",
                "type",
            ],
            Self::Nodes => &["spec.unschedulable"],
            Self::Namespaces => &["status.phase"],
            Self::ConfigMaps | Self::ControllerRevisions | Self::DaemonSets => &[],
        }
    }
}

/// One object.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub(super) enum Item {
    ConfigMap(Box<ConfigMap>),
    ControllerRevision(Box<ControllerRevision>),
    DaemonSet(Box<DaemonSet>),
    Event(Box<Event>),
    Namespace(Box<Namespace>),
    Node(Box<Node>),
    Pod(Box<Pod>),
}

/// A JSON array whose elements are made as they are written: all of a long list as JSON values takes
/// more than ten times the room of its text, and the room is not given back.
pub(super) struct AsWritten<'a, F>(pub(super) &'a [Item], pub(super) F);

impl<F: Fn(&Item) -> Value> Serialize for AsWritten<'_, F> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(&self.1))
    }
}

/// A list of a resource, such as `PodList`; `I` is its items.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ItemList<I> {
    kind: String,
    api_version: &'static str,
    metadata: Value,
    items: I,
}

/// A whole list, whose items are made as they are written.
pub(super) fn item_list(
    resource: Resource,
    items: &[Item],
    resource_version: &str,
) -> ItemList<impl Serialize> {
    ItemList {
        kind: format!("{}List", resource.kind()),
        api_version: resource.group_version(),
        metadata: json!({"resourceVersion": resource_version}),
        items: AsWritten(items, move |item: &Item| item.to_value(resource_version)),
    }
}

impl Item {
    pub(super) fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::ConfigMap(o) => &o.metadata,
            Self::ControllerRevision(o) => &o.metadata,
            Self::DaemonSet(o) => &o.metadata,
            Self::Event(o) => &o.metadata,
            Self::Namespace(o) => &o.metadata,
            Self::Node(o) => &o.metadata,
            Self::Pod(o) => &o.metadata,
        }
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::ConfigMap(o) => &mut o.metadata,
            Self::ControllerRevision(o) => &mut o.metadata,
            Self::DaemonSet(o) => &mut o.metadata,
            Self::Event(o) => &mut o.metadata,
            Self::Namespace(o) => &mut o.metadata,
            Self::Node(o) => &mut o.metadata,
            Self::Pod(o) => &mut o.metadata,
        }
    }

    /// Namespace (empty outside of namespaces) and name.
    pub(super) fn key(&self) -> ObjectKey {
        let meta = self.metadata();
        ObjectKey::new(
            meta.namespace.clone().unwrap_or_default(),
            meta.name.clone().unwrap_or_default(),
        )
    }

    /// The object as JSON, as of a resource version.
    pub(super) fn to_value(&self, resource_version: &str) -> Value {
        let mut item = self.clone();
        item.metadata_mut().resource_version = Some(resource_version.to_owned());
        item.bare_value()
    }

    fn bare_value(&self) -> Value {
        let value = match self {
            Self::ConfigMap(o) => serde_json::to_value(o),
            Self::ControllerRevision(o) => serde_json::to_value(o),
            Self::DaemonSet(o) => serde_json::to_value(o),
            Self::Event(o) => serde_json::to_value(o),
            Self::Namespace(o) => serde_json::to_value(o),
            Self::Node(o) => serde_json::to_value(o),
            Self::Pod(o) => serde_json::to_value(o),
        };
        value.expect("Kubernetes objects have text keys, so they are JSON")
    }

    /// A field's value as field selectors compare it; empty where there is none.
    pub(super) fn field(&self, path: &str) -> String {
        match path {
            "metadata.name" => return self.metadata().name.clone().unwrap_or_default(),
            "metadata.namespace" => return self.metadata().namespace.clone().unwrap_or_default(),
            _ => {}
        }
        let path = match (self, path) {
            (Self::Event(_), "source") => "source.component",
            (_, path) => path,
        };
        let value = self.bare_value();
        match value.pointer(&format!("/{}", path.replace('.', "/"))) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Bool(holds)) => holds.to_string(),
            None if path.ends_with("hostNetwork") || path.ends_with("unschedulable") => {
                "false".to_owned()
            }
            _ => String::new(),
        }
    }
}

/// What one answer is made of.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// The newest view.
    pub view: Arc<NodeView>,
    /// The events by then.
    pub events: Arc<EventLog>,
}

impl Seen {
    /// The version of a kind of objects.
    pub(super) fn version(&self, resource: Resource) -> u64 {
        let version = match resource {
            Resource::Events => self.events.version,
            _ => self.view.version,
        };
        version.max(1)
    }
}

/// Every object of a kind, by namespace and name; events as they last happened.
pub(super) fn list(seen: &Seen, resource: Resource, now: Timestamp) -> Vec<Item> {
    let view = &*seen.view;
    let mut items: Vec<Item> = match resource {
        Resource::ConfigMaps => {
            let maps = view.snapshot.config_maps.values();
            maps.map(|map| Item::ConfigMap(Box::new(map.as_ref().clone())))
                .collect()
        }
        Resource::ControllerRevisions => revisions(view),
        Resource::DaemonSets => daemonsets(view, now),
        Resource::Events => {
            let events = seen.events.events.iter();
            let event =
                |event| Item::Event(Box::new(status::events::event(event, &view.node.name)));
            return events.map(|known| event(known)).collect();
        }
        Resource::Namespaces => namespaces(view),
        Resource::Nodes => vec![Item::Node(Box::new(status::node(
            view,
            &version::git_version(),
            now,
        )))],
        Resource::Pods => {
            let pods = view.pods.values();
            pods.map(|report| Item::Pod(Box::new(status::pod(report, &view.node, now))))
                .collect()
        }
    };
    items.sort_by_cached_key(Item::key);
    items
}

fn revisions(view: &NodeView) -> Vec<Item> {
    let rollouts = view.sets.values().filter_map(|set| set.rollout.as_ref());
    let revisions = rollouts.flat_map(|rollout| &rollout.record.revisions);
    let item = |object: &ControllerRevision| Item::ControllerRevision(Box::new(object.clone()));
    revisions.map(|revision| item(&revision.object)).collect()
}

/// The reports of a set's pods, oldest first.
pub(super) fn pods_of<'a>(view: &'a NodeView, report: &SetReport) -> Vec<&'a PodReport> {
    report
        .pods
        .iter()
        .filter_map(|uid| view.pods.get(uid))
        .collect()
}

fn daemonsets(view: &NodeView, now: Timestamp) -> Vec<Item> {
    let sets = view.snapshot.sets.iter().filter_map(|(key, (set, _))| {
        let report = view.sets.get(key)?;
        let pods = pods_of(view, report);
        let set = report.rollout.as_ref().map_or(set, |rollout| &rollout.set);
        Some(Item::DaemonSet(Box::new(status::daemonset(
            set, report, &pods, &view.node, now,
        ))))
    });
    sets.collect()
}

/// The namespaces in which there is anything, and `default`.
fn namespaces(view: &NodeView) -> Vec<Item> {
    let snapshot = &view.snapshot;
    let keys = snapshot.sets.keys().chain(snapshot.config_maps.keys());
    let mut names: BTreeSet<&str> = keys.map(|key| key.namespace.as_str()).collect();
    names.extend(
        view.pods
            .values()
            .map(|pod| pod.want.key().namespace.as_str()),
    );
    names.insert("default");
    let items = names.into_iter().map(|name| {
        Item::Namespace(Box::new(Namespace {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some([("kubernetes.io/metadata.name".to_owned(), name.to_owned())].into()),
                ..ObjectMeta::default()
            },
            spec: None,
            status: Some(NamespaceStatus {
                phase: Some("Active".to_owned()),
                conditions: None,
            }),
        }))
    });
    items.collect()
}
