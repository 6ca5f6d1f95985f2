//! What should exist: one pod with its specification, and how far it should be brought.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod, PodSpec, Secret};
use serde::{Deserialize, Serialize};

use crate::api::{ContainerName, ObjectKey, PodKey, Revision};
use crate::model::{HostPort, Reason};

/// How far a pod is to be brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Goal {
    /// Everything that can fail without touching a running pod: references, host paths, images.
    Stage,
    /// Staged, with a sandbox that stands ready.
    Prepare,
    /// Running.
    Run,
    /// Stopped with its grace period, and kept for the machine's next start.
    Rest,
    /// Ended with its grace period and removed; there is no way back from it.
    End,
}

/// The time in which a pod is stopped before the machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// When its end began.
    pub since: Timestamp,
    /// When it is over, whatever the pod's grace period.
    pub until: Timestamp,
}

/// What the store keeps of one pod, written before its first side effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PodRecord {
    /// Namespace, name and uid.
    pub key: PodKey,
    /// The DaemonSet it belongs to.
    pub set: ObjectKey,
    /// The revision it is made of.
    pub revision: Revision,
    /// The whole pod, as the API server would return it, without status.
    pub pod: Pod,
    /// When it was decided.
    pub created_at: Timestamp,
    /// When its end was decided, where it was.
    pub ending_since: Option<Timestamp>,
    /// By container: what an update in place asks of those that were there before it.
    #[serde(default)]
    pub renewals: BTreeMap<ContainerName, Renewal>,
    /// Why it was evicted, where that is how its end came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evicted: Option<Reason>,
}

/// What an update in place asks of a container's attempts that were made before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// The newest attempt that was made of the specification before.
    pub upto: u32,
    /// They are to be restarted.
    pub restart: bool,
    /// Their resources changed.
    pub resize: bool,
}

/// The ConfigMaps and Secrets a pod refers to, as far as they exist.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct References {
    /// ConfigMaps by name, in the pod's namespace.
    pub config_maps: BTreeMap<String, Arc<ConfigMap>>,
    /// Secrets by name, in the pod's namespace.
    pub secrets: BTreeMap<String, Arc<Secret>>,
}

/// The waits between restarts of a container that keeps ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackOff {
    /// The wait before the second restart; the first comes at once. Doubles with every further one.
    pub initial: Duration,
    /// The longest wait.
    pub max: Duration,
    /// A container that ran this long starts over with the first wait.
    pub reset: Duration,
}

impl Default for BackOff {
    /// kubelet's: 10 s doubling to 5 min, forgotten after 10 min.
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(10),
            max: Duration::from_secs(300),
            reset: Duration::from_secs(600),
        }
    }
}

/// What holds for the rollout of sets that say nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolloutDefaults {
    /// Whether a bad revision is replaced by the last good one.
    pub rollback: bool,
    /// How long a revision is given to become available.
    pub deadline: Duration,
    /// How often its containers may restart meanwhile.
    pub max_restarts: u32,
}

impl Default for RolloutDefaults {
    fn default() -> Self {
        Self {
            rollback: false,
            deadline: Duration::from_secs(600),
            max_restarts: 3,
        }
    }
}

/// What the configuration gives every set that says nothing else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SetDefaults {
    /// The back-off of its containers.
    pub back_off: BackOff,
    /// Its rollout.
    pub rollout: RolloutDefaults,
}

/// One pod as it should be: what a worker is given.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredPod {
    /// What was decided and recorded.
    pub record: Arc<PodRecord>,
    /// How far to bring it.
    pub goal: Goal,
    /// The objects it refers to, as they are now.
    pub references: Arc<References>,
    /// Reasons for which nothing of it may be started now (for example fields that cannot be
    /// honoured); empty for a pod that may run.
    pub held: Vec<Reason>,
    /// Host ports that the pod in whose place it comes does not have, and that must be free.
    pub ports: Vec<HostPort>,
    /// The back-off of its containers.
    pub back_off: BackOff,
    /// When it is to be looked at, whatever happens until then.
    pub look_at: Option<Timestamp>,
    /// The time for its stop, with [`Goal::Rest`].
    pub term: Option<Term>,
}

impl DesiredPod {
    /// Namespace, name and uid.
    #[must_use]
    pub fn key(&self) -> &PodKey {
        &self.record.key
    }

    /// The pod's specification; an admitted pod always has one, an empty one stands in otherwise.
    #[must_use]
    pub fn spec(&self) -> &PodSpec {
        static EMPTY: std::sync::LazyLock<PodSpec> = std::sync::LazyLock::new(PodSpec::default);
        self.record.pod.spec.as_ref().unwrap_or(&EMPTY)
    }

    /// The container of that name, an init container or not.
    #[must_use]
    pub fn container(&self, name: &ContainerName) -> Option<&Container> {
        let spec = self.spec();
        let mut all = spec
            .init_containers
            .iter()
            .flatten()
            .chain(&spec.containers);
        all.find(|container| container.name == name.as_str())
    }
}

#[cfg(test)]
impl DesiredPod {
    /// A pod of a specification, with the objects it refers to, for tests.
    pub(crate) fn of_test(spec: serde_json::Value, objects: &[serde_json::Value]) -> Self {
        let mut references = References::default();
        for object in objects {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let value = object.clone();
            if object["kind"] == "Secret" {
                let secret: Secret = serde_json::from_value(value).expect("a Secret");
                references.secrets.insert(name.to_owned(), Arc::new(secret));
            } else {
                let map: ConfigMap = serde_json::from_value(value).expect("a ConfigMap");
                references
                    .config_maps
                    .insert(name.to_owned(), Arc::new(map));
            }
        }
        let pod = serde_json::json!({
            "metadata": {"name": "set-abcde", "namespace": "team", "uid": "1-2",
                "labels": {"app": "x"}},
            "spec": spec,
        });
        let pod: Pod = serde_json::from_value(pod).expect("a pod");
        Self {
            record: Arc::new(PodRecord {
                key: PodKey {
                    namespace: "team".to_owned(),
                    name: "set-abcde".to_owned(),
                    uid: crate::api::Uid::new("1-2"),
                },
                set: ObjectKey::new("team", "set"),
                revision: Revision::new("abc"),
                pod,
                created_at: Timestamp::UNIX_EPOCH,
                ending_since: None,
                renewals: BTreeMap::new(),
                evicted: None,
            }),
            goal: Goal::Run,
            references: Arc::new(references),
            held: Vec::new(),
            ports: Vec::new(),
            back_off: BackOff::default(),
            look_at: None,
            term: None,
        }
    }
}
