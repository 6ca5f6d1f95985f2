//! The same pod as the agent makes, through the three raw calls of CRI and nothing else. The
//! configurations are the agent's own translation, made before the clock runs.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use setlet::api::pod::pod_from_template;
use setlet::api::{self, ContainerName, Object, PodKey, Uid};
use setlet::blocking::Progress;
use setlet::cri;
use setlet::cri::image_service_client::ImageServiceClient;
use setlet::cri::runtime_service_client::RuntimeServiceClient;
use setlet::model::{BackOff, DesiredPod, Goal, ImageState, NodeFacts, PodRecord};
use setlet::runtime::{files, translate};
use tokio::runtime::Runtime;
use tonic::transport::Channel;

use crate::events::Events;
use crate::harness::Containerd;
use crate::harness::containerd::BUSYBOX;

/// The node whose pods these are; not the agent's.
const NODE: &str = "raw";

/// An open connection, and what pods are translated with.
pub struct Raw {
    runtime: Runtime,
    client: RuntimeServiceClient<Channel>,
    host: translate::Host,
    image: ImageState,
}

/// A pod's configurations.
pub struct Prepared {
    sandbox: cri::PodSandboxConfig,
    containers: [cri::ContainerConfig; 3],
}

/// Connects.
pub fn connect(containerd: &Containerd) -> Raw {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let channel = runtime.block_on(containerd.channel());
    let request = cri::ImageStatusRequest {
        image: Some(cri::ImageSpec {
            image: BUSYBOX.into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut images = ImageServiceClient::new(channel.clone());
    let status = runtime.block_on(images.image_status(request));
    let status = status.expect("the image's status").into_inner();
    Raw {
        client: RuntimeServiceClient::new(channel),
        host: host(containerd.base()),
        image: ImageState::Present {
            image_ref: status.image.expect("the image").id,
            uid: None,
            username: String::new(),
            at: Timestamp::now(),
            stale: None,
            pulled: None,
        },
        runtime,
    }
}

fn host(base: &Path) -> translate::Host {
    let node = NodeFacts {
        name: NODE.into(),
        hostname: NODE.into(),
        ..NodeFacts::default()
    };
    let root = Path::new("/").join(base.file_name().expect("a name"));
    translate::Host {
        node: Arc::new(node),
        pods_root: base.join("raw/pods"),
        pod_logs: base.join("raw/log"),
        cgroup_root: root.display().to_string(),
        cgroup_driver: if Path::new("/run/systemd/system").is_dir() {
            cri::CgroupDriver::Systemd
        } else {
            cri::CgroupDriver::Cgroupfs
        },
        resolv_conf: "/etc/resolv.conf".into(),
        features: translate::RuntimeFeatures {
            cgroup_v2: Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
            ..translate::RuntimeFeatures::default()
        },
        settings: translate::PodSettings::default(),
    }
}

impl Raw {
    /// Makes everything that the calls take of a manifest.
    pub fn prepare(&self, name: &str, manifest: &str) -> Prepared {
        let pod = desired(name, manifest);
        let own =
            files::prepare_pod(&pod, &self.host, &Progress::default()).expect("the pod's files");
        let container = |attempt| {
            let input = translate::ContainerInput {
                container: &ContainerName::new("main"),
                attempt,
                backoff_level: attempt,
                image: &self.image,
                volumes: &Default::default(),
                // Any address will do for a hosts file of the same size.
                ips: &["10.0.0.2".to_owned()],
            };
            let files = files::prepare_container(&pod, &input, &self.host, &Progress::default());
            let files = files.expect("the container's files");
            translate::container(&pod, &input, &files, &self.host).expect("a container")
        };
        Prepared {
            sandbox: translate::sandbox(&pod, 0, &own, &self.host).expect("a sandbox"),
            containers: [container(0), container(1), container(2)],
        }
    }

    /// Runs a pod; returns its sandbox.
    pub fn run(&mut self, pod: &Prepared) -> String {
        self.run_with_container(pod).0
    }

    /// Runs a pod; returns its sandbox and its container.
    pub fn run_with_container(&mut self, pod: &Prepared) -> (String, String) {
        let request = cri::RunPodSandboxRequest {
            config: Some(pod.sandbox.clone()),
            ..Default::default()
        };
        let sandbox = self.runtime.block_on(self.client.run_pod_sandbox(request));
        let sandbox = sandbox.expect("RunPodSandbox").into_inner().pod_sandbox_id;
        let container = self.start(pod, &sandbox, 0);
        (sandbox, container)
    }

    /// Stops a container, with this many seconds of grace.
    pub fn stop(&mut self, container: &str, timeout: i64) {
        let request = cri::StopContainerRequest {
            container_id: container.to_owned(),
            timeout,
        };
        self.runtime
            .block_on(self.client.stop_container(request))
            .expect("StopContainer");
    }

    /// Creates and starts the pod's container for this attempt; returns it.
    pub fn start(&mut self, pod: &Prepared, sandbox: &str, attempt: usize) -> String {
        let request = cri::CreateContainerRequest {
            pod_sandbox_id: sandbox.to_owned(),
            config: Some(pod.containers[attempt].clone()),
            sandbox_config: Some(pod.sandbox.clone()),
        };
        let created = self.runtime.block_on(self.client.create_container(request));
        let container_id = created.expect("CreateContainer").into_inner().container_id;
        let request = cri::StartContainerRequest {
            container_id: container_id.clone(),
        };
        self.runtime
            .block_on(self.client.start_container(request))
            .expect("StartContainer");
        container_id
    }
}

/// How long after `from` the `nth` start of a task was, counted from 1.
pub fn until_start(events: &Events, from: SystemTime, nth: usize) -> (Duration, u32) {
    let mut event = events.start();
    for _ in 1..nth {
        event = events.start();
    }
    let took = event.at.duration_since(from).unwrap_or_default();
    (took, event.pid)
}

fn desired(name: &str, manifest: &str) -> DesiredPod {
    let mut admitted = api::admit(name, manifest.as_bytes());
    let admitted = admitted.remove(0).expect("the manifest is admitted");
    let Object::DaemonSet(set) = admitted.object else {
        panic!("{name} is a DaemonSet");
    };
    let key = PodKey {
        namespace: "default".into(),
        name: format!("{name}-raw"),
        uid: Uid::new(uuid::Uuid::new_v4().to_string()),
    };
    let pod = pod_from_template(&set, NODE, &key.name, &key.uid).expect("a pod");
    DesiredPod {
        record: Arc::new(PodRecord {
            renewals: std::collections::BTreeMap::default(),
            key,
            set: set.key().clone(),
            revision: set.revision().clone(),
            pod,
            created_at: Timestamp::now(),
            ending_since: None,
            evicted: None,
        }),
        look_at: None,
        term: None,
        goal: Goal::Run,
        references: Arc::default(),
        held: Vec::new(),
        ports: Vec::new(),
        back_off: BackOff::default(),
    }
}
