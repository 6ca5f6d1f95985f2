//! Turns the runtime's lists and statuses into observed pods: pure, value in, value out.
//!
//! What lacks the labels that every sandbox and container of this agent has is left out.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::PathBuf;

use jiff::Timestamp;

use super::ByUid;
use crate::api::{ContainerName, ObjectKey, PodKey, Revision, Uid};
use crate::cri;
use crate::model::{
    ContainerId, ContainerState, ObservedContainer, ObservedPod, ObservedSandbox, SandboxId,
    SandboxState,
};
use crate::runtime::cache::Details;
use crate::runtime::links;
use crate::runtime::translate::labels;

type Map = HashMap<String, String>;

/// Pods being put together from lists.
#[derive(Debug, Default)]
pub(super) struct Pods(ByUid);

impl Pods {
    fn pod(&mut self, labels: &Map, annotations: &Map) -> Option<&mut ObservedPod> {
        let empty = pod_of(labels, annotations)?;
        Some(self.0.entry(empty.key.uid.clone()).or_insert(empty))
    }

    /// Adds a sandbox to its pod.
    pub fn add_sandbox(&mut self, listed: &cri::PodSandbox, ips: Vec<String>) {
        let Some(pod) = self.pod(&listed.labels, &listed.annotations) else {
            return;
        };
        let state = match listed.state() {
            cri::PodSandboxState::SandboxReady => SandboxState::Ready,
            cri::PodSandboxState::SandboxNotready => SandboxState::NotReady,
        };
        pod.sandboxes.push(ObservedSandbox {
            id: SandboxId(listed.id.clone()),
            attempt: listed.metadata.as_ref().map_or(0, |m| m.attempt),
            state,
            created_at: time(listed.created_at),
            ips,
        });
    }

    /// Adds a container to its pod.
    pub fn add_container(&mut self, listed: &cri::Container, details: Option<&Details>) {
        let observed = container(listed, details);
        if let (Some(observed), Some(pod)) =
            (observed, self.pod(&listed.labels, &listed.annotations))
        {
            pod.containers.push(observed);
        }
    }

    /// The pods, everything in them in the promised order.
    pub fn finish(self) -> Vec<ObservedPod> {
        let mut pods: Vec<_> = self.0.into_values().collect();
        for pod in &mut pods {
            pod.sandboxes
                .sort_by_key(|s| Reverse((s.attempt, s.created_at)));
            pod.containers.sort_by(|a, b| {
                let newest_first = (b.attempt, b.created_at).cmp(&(a.attempt, a.created_at));
                a.name.cmp(&b.name).then(newest_first)
            });
        }
        pods
    }
}

/// The pod that labels speak of, with nothing in it.
fn pod_of(labels: &Map, annotations: &Map) -> Option<ObservedPod> {
    let label = |name: &str| labels.get(name).cloned();
    let namespace = label(labels::POD_NAMESPACE)?;
    let set = labels::set_name(labels, annotations).unwrap_or_default();
    Some(ObservedPod {
        set: ObjectKey::new(namespace.clone(), set),
        key: PodKey {
            namespace,
            name: label(labels::POD_NAME)?,
            uid: Uid::new(label(labels::POD_UID)?),
        },
        revision: Revision::new(label(labels::REVISION).unwrap_or_default()),
        state_dir: annotations.get(labels::STATE).cloned(),
        sandboxes: Vec::new(),
        containers: Vec::new(),
    })
}

fn container(listed: &cri::Container, details: Option<&Details>) -> Option<ObservedContainer> {
    let name = listed.labels.get(labels::CONTAINER_NAME)?;
    let annotation = |name: &str| listed.annotations.get(name);
    let created_at = time(listed.created_at);
    let image = listed.image.clone().unwrap_or_default();
    Some(ObservedContainer {
        id: ContainerId(listed.id.clone()),
        name: ContainerName::new(name),
        attempt: listed.metadata.as_ref().map_or(0, |m| m.attempt),
        sandbox: SandboxId(listed.pod_sandbox_id.clone()),
        created_at,
        state: state(listed.state(), created_at, details),
        image: if image.user_specified_image.is_empty() {
            image.image
        } else {
            image.user_specified_image
        },
        image_ref: listed.image_ref.clone(),
        backoff_level: annotation(labels::BACKOFF_LEVEL)
            .and_then(|v| v.parse().ok())
            .unwrap_or(0),
        image_stale: annotation(labels::IMAGE_STALE).cloned(),
        hash: annotation(labels::CONTAINER_HASH)
            .cloned()
            .unwrap_or_default(),
        grace_seconds: annotation(labels::POD_GRACE_PERIOD).and_then(|v| v.parse().ok()),
    })
}

/// The state the details are of, or the listed one with as little as the list knows.
fn state(
    listed: cri::ContainerState,
    created_at: Timestamp,
    details: Option<&Details>,
) -> ContainerState {
    match details.map_or(listed, |d| d.state) {
        cri::ContainerState::ContainerCreated => ContainerState::Created,
        cri::ContainerState::ContainerUnknown => ContainerState::Unknown,
        cri::ContainerState::ContainerRunning => ContainerState::Running {
            started_at: details.map_or(created_at, |d| d.started_at),
        },
        cri::ContainerState::ContainerExited => match details {
            // The end of one that ended before its start was answered is stamped before its start.
            Some(d) => ContainerState::Exited {
                started_at: d.started_at.min(d.finished_at),
                finished_at: d.finished_at,
                exit_code: d.exit_code,
                reason: d.reason.clone(),
                message: d.message.clone(),
            },
            None => ContainerState::Exited {
                started_at: Timestamp::UNIX_EPOCH,
                finished_at: created_at,
                exit_code: 0,
                reason: String::new(),
                message: String::new(),
            },
        },
    }
}

/// What a status adds to a list, without the termination message.
pub(super) fn details(status: &cri::ContainerStatus) -> Details {
    Details {
        state: status.state(),
        started_at: time(status.started_at),
        finished_at: time(status.finished_at),
        exit_code: status.exit_code,
        reason: status.reason.clone(),
        message: status.message.clone(),
        log_path: Some(PathBuf::from(&status.log_path)).filter(|p| p.is_absolute()),
        link_name: links::name(&status.labels, &status.id),
        announced: false,
        disputed: false,
    }
}

/// The primary address first, then the others.
pub(super) fn addresses(network: Option<cri::PodSandboxNetworkStatus>) -> Vec<String> {
    let network = network.unwrap_or_default();
    let others = network.additional_ips.into_iter().map(|ip| ip.ip);
    std::iter::once(network.ip)
        .chain(others)
        .filter(|ip| !ip.is_empty())
        .collect()
}

/// CRI counts nanoseconds since the epoch; Go's zero time, far before it, means never.
pub(super) fn time(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanoseconds.max(0))).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod_labels() -> Map {
        [
            (labels::NODE, "n"),
            (labels::POD_NAME, "a-x2x2x"),
            (labels::POD_NAMESPACE, "default"),
            (labels::POD_UID, "u1"),
            (labels::SET, "a"),
            (labels::REVISION, "r1"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into()
    }

    fn listed(id: &str, attempt: u32, state: cri::ContainerState) -> cri::Container {
        let mut labels = pod_labels();
        labels.insert(labels::CONTAINER_NAME.into(), "main".into());
        cri::Container {
            id: id.into(),
            pod_sandbox_id: "s0".into(),
            metadata: Some(cri::ContainerMetadata {
                name: "main".into(),
                attempt,
            }),
            state: state.into(),
            created_at: 5_000_000_000,
            labels,
            annotations: [
                (labels::BACKOFF_LEVEL, "3"),
                (labels::IMAGE_STALE, "no route"),
                (labels::CONTAINER_HASH, "h"),
                (labels::POD_GRACE_PERIOD, "30"),
            ]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
            ..Default::default()
        }
    }

    fn second(s: i64) -> Timestamp {
        Timestamp::from_second(s).unwrap()
    }

    #[test]
    fn a_pod_is_put_together_newest_first() {
        let sandbox = |id: &str, attempt, state: cri::PodSandboxState| cri::PodSandbox {
            id: id.into(),
            metadata: Some(cri::PodSandboxMetadata {
                attempt,
                ..Default::default()
            }),
            state: state.into(),
            created_at: 1_000_000_000,
            labels: pod_labels(),
            ..Default::default()
        };
        let mut pods = Pods::default();
        pods.add_sandbox(
            &sandbox("s0", 0, cri::PodSandboxState::SandboxNotready),
            vec![],
        );
        pods.add_sandbox(
            &sandbox("s1", 1, cri::PodSandboxState::SandboxReady),
            vec!["10.0.0.2".into()],
        );
        pods.add_container(&listed("c0", 0, cri::ContainerState::ContainerExited), None);
        pods.add_container(
            &listed("c1", 1, cri::ContainerState::ContainerCreated),
            None,
        );
        let pods = pods.finish();
        let [pod] = pods.as_slice() else {
            panic!("one pod, not {pods:?}")
        };
        assert_eq!(pod.key.to_string(), "default/a-x2x2x");
        assert_eq!(pod.set, ObjectKey::new("default", "a"));
        assert_eq!(pod.revision, Revision::new("r1"));
        let ids: Vec<_> = pod.sandboxes.iter().map(|s| s.id.0.as_str()).collect();
        assert_eq!(ids, ["s1", "s0"]);
        assert_eq!(pod.ready_sandbox().unwrap().ips, ["10.0.0.2"]);
        let ids: Vec<_> = pod.containers.iter().map(|c| c.id.0.as_str()).collect();
        assert_eq!(ids, ["c1", "c0"]);
        assert_eq!(pod.containers[0].backoff_level, 3);
        assert_eq!(pod.containers[0].image_stale.as_deref(), Some("no route"));
        assert_eq!(pod.containers[0].hash, "h");
        assert_eq!(pod.containers[0].grace_seconds, Some(30));
    }

    #[test]
    fn details_are_newer_than_the_list() {
        let status = cri::ContainerStatus {
            state: cri::ContainerState::ContainerExited.into(),
            started_at: 6_000_000_000,
            finished_at: 7_000_000_000,
            exit_code: 137,
            reason: "OOMKilled".into(),
            ..Default::default()
        };
        let running = listed("c0", 0, cri::ContainerState::ContainerRunning);
        assert_eq!(
            container(&running, Some(&details(&status))).unwrap().state,
            ContainerState::Exited {
                started_at: second(6),
                finished_at: second(7),
                exit_code: 137,
                reason: "OOMKilled".into(),
                message: String::new(),
            }
        );
        assert_eq!(
            container(&running, None).unwrap().state,
            ContainerState::Running {
                started_at: second(5)
            }
        );
    }

    #[test]
    fn an_end_before_the_start_was_answered_is_no_negative_time() {
        let status = cri::ContainerStatus {
            state: cri::ContainerState::ContainerExited.into(),
            started_at: 7_000_000_000,
            finished_at: 6_000_000_000,
            reason: "Completed".into(),
            ..Default::default()
        };
        let exited = listed("c0", 0, cri::ContainerState::ContainerExited);
        let state = container(&exited, Some(&details(&status))).unwrap().state;
        let ContainerState::Exited {
            started_at,
            finished_at,
            ..
        } = state
        else {
            panic!("it has ended, not {state:?}")
        };
        assert_eq!((started_at, finished_at), (second(6), second(6)));
    }

    #[test]
    fn what_lacks_labels_is_left_out() {
        let mut pods = Pods::default();
        let mut foreign = listed("c0", 0, cri::ContainerState::ContainerRunning);
        foreign.labels.remove(labels::POD_UID);
        pods.add_container(&foreign, None);
        assert_eq!(pods.finish(), []);
    }

    #[test]
    fn host_network_has_no_addresses_and_gos_zero_time_is_the_epoch() {
        let none = cri::PodSandboxNetworkStatus::default();
        assert_eq!(addresses(Some(none)), Vec::<String>::new());
        assert_eq!(time(-6_795_364_578_871_345_152), Timestamp::UNIX_EPOCH);
    }
}
