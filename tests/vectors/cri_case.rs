//! A recorded case as the code under test needs it: the pod admitted, the node, the files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, Volume};
use serde_json::{Value, json};
use setlet::api::{ContainerName, ObjectKey, PodKey, Revision, Uid};
use setlet::cri::CgroupDriver;
use setlet::model::{
    Amount, BackOff, DesiredPod, Goal, ImageState, NodeFacts, PodRecord, References, VolumePaths,
};
use setlet::runtime::files::{ContainerFiles, PodFiles};
use setlet::runtime::translate::dns::ResolvConf;
use setlet::runtime::translate::{Host, PodSettings, RuntimeFeatures, SwapBehavior};

use crate::cri_rules;

/// Where the placeholder `<HOST_IP>` stands.
pub const HOST_IP: &str = "192.0.2.1";
/// Where the placeholder `<USERNS_BASE>` stands.
pub const USERNS_BASE: u32 = 65_536 * 7;

/// A case with what the node had.
pub struct Case<'a> {
    pub case: &'a Value,
    pub node: &'a Value,
}

impl Case<'_> {
    /// The requests of a method, in order.
    pub fn requests(&self, method: &str) -> Vec<&Value> {
        let calls = self.case["calls"].as_array().into_iter().flatten();
        calls
            .filter(|call| call["method"] == method)
            .map(|call| &call["request"])
            .collect()
    }

    /// The pod as it is decided here, admitted as the template of a DaemonSet.
    pub fn pod(&self) -> Result<DesiredPod, String> {
        let pod: Pod = cri_rules::admitted(&self.case["pod"]).map_err(|errors| {
            let errors = errors.join("; ");
            format!("refused at admission: {errors}")
        })?;
        let name = format!("vec-{}-<HOSTNAME>", self.name());
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let key = PodKey {
            namespace: namespace.clone(),
            name,
            uid: Uid::new("<POD_UID>"),
        };
        Ok(DesiredPod {
            record: Arc::new(PodRecord {
                renewals: BTreeMap::default(),
                key,
                set: ObjectKey::new(namespace, "vec"),
                revision: Revision::new("abcdef"),
                pod,
                created_at: jiff::Timestamp::UNIX_EPOCH,
                ending_since: None,
                evicted: None,
            }),
            goal: Goal::Run,
            references: Arc::new(References::default()),
            held: Vec::new(),
            ports: Vec::new(),
            back_off: BackOff::default(),
            look_at: None,
            term: None,
        })
    }

    fn name(&self) -> &str {
        let name = self.case["pod"]["metadata"]["name"].as_str();
        let name = name.unwrap_or_default();
        name.strip_prefix("vec-").unwrap_or(name)
    }

    pub fn is_host_network(&self) -> bool {
        self.case["pod"]["spec"]["hostNetwork"] == json!(true)
    }

    pub fn ips(&self) -> Vec<String> {
        match self.is_host_network() {
            true => Vec::new(),
            false => vec!["<POD_IP>".to_owned()],
        }
    }

    /// The node the data was recorded on.
    pub fn host(&self, root: &Path) -> Host {
        let topic = self.case["topic"].as_str().unwrap_or_default();
        let extra = topic == "runtime-features";
        let alternative = topic == "settings";
        let bytes = |name: &str| self.node[name].as_u64().unwrap_or_default();
        let texts = |value: &Value| -> Vec<String> {
            let items = value.as_array().into_iter().flatten();
            items
                .filter_map(|i| i.as_str().map(str::to_owned))
                .collect()
        };
        let kubelet = match alternative {
            true => &self.node["settings cases (alt-*)"],
            false => &self.node["kubelet"],
        };
        let node = NodeFacts {
            name: "<HOSTNAME>".to_owned(),
            hostname: "<HOSTNAME>".to_owned(),
            addresses: HOST_IP.parse().into_iter().collect(),
            cpus: bytes("cpu"),
            memory_bytes: bytes("memory_capacity_bytes"),
            allocatable_memory_bytes: bytes("memory_allocatable_bytes"),
            allocatable_cpu_millis: bytes("cpu") * 1000,
            ephemeral_storage_bytes: bytes("ephemeral_storage_allocatable_bytes"),
            hugepages: self.hugepages(),
            ..NodeFacts::default()
        };
        Host {
            node: Arc::new(node),
            pods_root: root.join("pods"),
            pod_logs: PathBuf::from("<LOG_DIR>"),
            cgroup_root: "/kubepods".to_owned(),
            cgroup_driver: CgroupDriver::Cgroupfs,
            resolv_conf: "/etc/resolv.conf".into(),
            features: RuntimeFeatures {
                recursive_read_only: extra,
                user_namespaces: extra,
                supplemental_groups_policy: extra,
                image_volumes: true,
                apparmor: false,
                selinux: false,
                cgroup_v2: false,
                swap: false,
            },
            settings: PodSettings {
                cluster_dns: texts(&kubelet["clusterDNS"]),
                cluster_domain: kubelet["clusterDomain"].as_str().unwrap_or_default().into(),
                seccomp_default: kubelet["seccompDefault"] == json!(true),
                cpu_cfs_quota: kubelet["cpuCFSQuota"] != json!(false),
                pod_pids_limit: kubelet["podPidsLimit"].as_u64(),
                enforce_node_allocatable: true,
                swap_behavior: SwapBehavior::NoSwap,
                allowed_unsafe_sysctls: texts(&self.node["kubelet"]["allowedUnsafeSysctls"]),
                seccomp_root: PathBuf::from("<ROOT_DIR>/seccomp"),
            },
        }
    }

    /// Page sizes of the node with how much of each there is.
    fn hugepages(&self) -> BTreeMap<u64, u64> {
        let bytes = |text: &str| u64::try_from(Amount::written(text).value()).unwrap_or_default();
        let sizes = self.node["hugepages"].as_object().into_iter().flatten();
        sizes
            .map(|(size, all)| {
                let size = bytes(size);
                (size, bytes(all.as_str().unwrap_or_default()) / size.max(1))
            })
            .collect()
    }

    pub fn pod_files(&self, pod: &DesiredPod) -> PodFiles {
        let resolv = self.node["kubelet"]["resolvConf"].as_str();
        PodFiles {
            resolv: ResolvConf::parse(resolv.unwrap_or_default()),
            userns: userns(pod),
        }
    }

    /// The files of a container by the layout they are made with; values that come out of files
    /// are taken from the record.
    pub fn container_files(
        &self,
        pod: &DesiredPod,
        name: &ContainerName,
        want: &Value,
    ) -> ContainerFiles {
        let root = Path::new("<ROOT_DIR>/pods/<POD_UID>");
        let spec = pod.spec();
        let mut all = spec
            .containers
            .iter()
            .chain(spec.init_containers.iter().flatten());
        let Some(container) = all.find(|c| c.name == name.as_str()) else {
            return ContainerFiles::default();
        };
        let mounts: Vec<_> = container.volume_mounts.iter().flatten().collect();
        let mut files = ContainerFiles {
            userns: userns(pod),
            termination_log: Some(root.join(format!("containers/{name}/<TERMINATION_LOG>"))),
            ..ContainerFiles::default()
        };
        if mounts.iter().all(|mount| mount.mount_path != "/etc/hosts") {
            files.etc_hosts = Some(root.join("etc-hosts"));
        }
        for (index, mount) in mounts.into_iter().enumerate() {
            if mount.sub_path.is_some() || mount.sub_path_expr.is_some() {
                let path = format!("volume-subpaths/{}/{name}/{index}", mount.name);
                files.sub_paths.insert(index, root.join(path));
            }
        }
        for env in container.env.iter().flatten() {
            let Some(key) = env
                .value_from
                .as_ref()
                .and_then(|f| f.file_key_ref.as_ref())
            else {
                continue;
            };
            let recorded = want["envs"].as_array().into_iter().flatten();
            let value = recorded
                .filter(|pair| pair["key"] == json!(env.name))
                .find_map(|pair| pair["value"].as_str());
            if let Some(value) = value {
                let id = (key.volume_name.clone(), key.path.clone(), key.key.clone());
                files.file_keys.insert(id, value.as_bytes().to_vec());
            }
        }
        files
    }

    /// Runs a check with `<HOST_DIR>` a directory of its own below the one that is given, set up
    /// as the case says.
    pub fn with_directory(
        &self,
        pod: Option<&DesiredPod>,
        check: impl Fn(&Self, DesiredPod, &Path) -> Result<(), String>,
    ) -> Result<(), String> {
        let root = tempfile::tempdir().map_err(|e| e.to_string())?;
        let root = root.path();
        let host = root.join("host");
        for directory in [&host, &root.join("pods")] {
            fs::create_dir(directory).map_err(|e| e.to_string())?;
        }
        if let Some(setup) = self.case["host_setup"].as_str() {
            let mut command = Command::new("sh");
            command.arg("-c").arg(setup).current_dir(&host);
            command.status().map_err(|e| e.to_string())?;
        }
        let mut desired = match pod {
            Some(pod) => pod.clone(),
            None => self.pod()?,
        };
        let record = &mut Arc::make_mut(&mut desired.record).pod;
        let text = serde_json::to_string(record).map_err(|e| e.to_string())?;
        let text = text.replace("<HOST_DIR>", &host.to_string_lossy());
        *record = serde_json::from_str::<Pod>(&text).map_err(|e| e.to_string())?;
        check(self, desired, root)
    }
}

/// Where the volumes of a pod lie.
pub fn volumes(pod: &DesiredPod) -> VolumePaths {
    let path = |volume: &Volume| {
        let kind = if let Some(source) = &volume.host_path {
            return PathBuf::from(&source.path);
        } else if volume.empty_dir.is_some() {
            "empty-dir"
        } else if volume.config_map.is_some() {
            "configmap"
        } else if volume.secret.is_some() {
            "secret"
        } else if volume.downward_api.is_some() {
            "downward-api"
        } else {
            "projected"
        };
        let root = Path::new("<ROOT_DIR>/pods/<POD_UID>/volumes");
        root.join(format!("kubernetes.io~{kind}"))
            .join(&volume.name)
    };
    let volumes = pod.spec().volumes.iter().flatten();
    volumes.map(|v| (v.name.clone(), path(v))).collect()
}

/// The image that was found, by what its made-up name says of its user.
pub fn image(want: &Value) -> ImageState {
    let name = want["image"]["user_specified_image"].as_str();
    let name = name.unwrap_or_default();
    let (uid, username) = if name.contains("user1000") {
        (Some(1000), "")
    } else if name.contains("username") {
        (None, "nobody")
    } else {
        (Some(0), "")
    };
    ImageState::Present {
        image_ref: want["image"]["image"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        uid,
        username: username.to_owned(),
        at: jiff::Timestamp::UNIX_EPOCH,
        stale: None,
        pulled: None,
    }
}

fn userns(pod: &DesiredPod) -> Option<u32> {
    (pod.spec().host_users == Some(false)).then_some(USERNS_BASE)
}
