//! Runs `cri/cases-*.json`: what kubelet sent to the runtime for each pod.
//!
//! Each pod is admitted and translated by the real code; every RunPodSandbox and CreateContainer
//! request that was recorded is compared with the one made here. Where kubelet sent none, the
//! reason it gave must be ours too. Differences the data's README calls legitimate are taken out
//! on both sides by the rules in `cri_rules.rs`.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use setlet::api::ContainerName;
use setlet::model::{DesiredPod, Reason};
use setlet::runtime::translate::cgroup::{Above, PERIOD, above, cgroup_parent, pod_bounds_of};
use setlet::runtime::translate::{ContainerInput, Host, container, names, sandbox};

use crate::cri_case::{Case, image, volumes};
use crate::protobuf::Schema;
use crate::{Report, cri_refused, cri_rules, difference, json_files, read};

/// Runs every file of the directory.
pub fn run(root: &Path, report: &mut Report) {
    let directory = root.join("cri");
    let Some(node) = read(&directory.join("node.json"), report) else {
        return;
    };
    report.file("cri/node.json");
    report.case("cgroups above those of pods", compare_above(&node));
    for path in json_files(&directory) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with("cases-") {
            continue;
        }
        let Some(Value::Array(cases)) = read(&path, report) else {
            continue;
        };
        report.file(&format!("cri/{name}"));
        for case in &cases {
            let case = &cri_rules::first_generation(case);
            let name = case["name"].as_str().unwrap_or("?");
            report.case(name, Case { case, node: &node }.run());
        }
    }
}

/// What kubelet made of the node with no pod that requests anything: `node_cgroups`.
fn compare_above(node: &Value) -> Result<(), String> {
    let case = &json!({});
    let mut host = Case { case, node }.host(Path::new("<ROOT_DIR>"));
    let facts = Arc::make_mut(&mut host.node);
    // Nothing was reserved; what is kept for eviction bounds no cgroup.
    facts.allocatable_memory_bytes = facts.memory_bytes;
    facts.allocatable_pids = 32_768;
    let mut have = serde_json::Map::new();
    for Above { path, bounds } in above(std::iter::empty(), &host) {
        let mut files = json!({"cpu.shares": bounds.cpu_shares});
        if let (Some(memory), Some(pids)) = (bounds.memory, bounds.pids) {
            files["memory.limit_in_bytes"] = json!(memory);
            files["pids.max"] = json!(pids);
        }
        have.insert(path.trim_start_matches('/').to_owned(), files);
    }
    let recorded = node["node_cgroups"].as_object().into_iter().flatten();
    let name = |name: &str| name.split(' ').next().unwrap_or_default().to_owned();
    let want = recorded.map(|(of, files)| (name(of), files.clone()));
    difference(&Value::Object(want.collect()), &Value::Object(have))
}

impl Case<'_> {
    fn run(&self) -> Result<(), String> {
        if let Some(outcome) = cri_refused::before_the_runtime(self) {
            return outcome;
        }
        let pod = self.pod()?;
        let host = self.host(Path::new("<ROOT_DIR>"));
        let mut errors = Vec::new();
        let schema = Schema::load()?;
        for request in self.requests("RunPodSandbox") {
            errors.extend(self.compare_sandbox(&schema, &pod, &host, request).err());
        }
        let creations = self.requests("CreateContainer");
        for request in &creations {
            errors.extend(self.compare_container(&schema, &pod, &host, request).err());
        }
        errors.extend(cri_refused::of_containers(self, &pod).err());
        errors.extend(self.compare_hosts(&pod, &host).err());
        errors.extend(self.compare_received(&pod).err());
        errors.extend(self.compare_cgroup(&pod, &host).err());
        match errors.as_slice() {
            [] => Ok(()),
            errors => Err(errors.join("\n")),
        }
    }

    fn compare_sandbox(
        &self,
        schema: &Schema,
        pod: &DesiredPod,
        host: &Host,
        request: &Value,
    ) -> Result<(), String> {
        let want = &request["config"];
        let attempt = number(&want["metadata"]["attempt"]);
        let have = sandbox(pod, attempt, &self.pod_files(pod), host).map_err(say)?;
        let have = schema.json("PodSandboxConfig", &have)?;
        difference(
            &cri_rules::recorded(want),
            &cri_rules::made(&have, self.is_host_network()),
        )
        .map_err(|e| format!("RunPodSandbox\n{e}"))
    }

    fn compare_container(
        &self,
        schema: &Schema,
        pod: &DesiredPod,
        host: &Host,
        request: &Value,
    ) -> Result<(), String> {
        let want = &request["config"];
        let name = ContainerName::new(want["metadata"]["name"].as_str().unwrap_or_default());
        let image = image(want);
        let volumes = volumes(pod);
        let ips = self.ips();
        let input = ContainerInput {
            container: &name,
            attempt: number(&want["metadata"]["attempt"]),
            backoff_level: 0,
            image: &image,
            volumes: &volumes,
            ips: &ips,
        };
        let files = self.container_files(pod, &name, want);
        let have = container(pod, &input, &files, host).map_err(say)?;
        let have = schema.json("ContainerConfig", &have)?;
        difference(
            &cri_rules::recorded(want),
            &cri_rules::made(&have, self.is_host_network()),
        )
        .map_err(|e| format!("CreateContainer {name}\n{e}"))
    }

    /// The pod's hosts file, where it was looked at.
    fn compare_hosts(&self, pod: &DesiredPod, host: &Host) -> Result<(), String> {
        let mut files = self.case["files"].as_array().into_iter().flatten();
        let Some(file) = files.find(|file| file["path"] == "etc-hosts") else {
            return Ok(());
        };
        let have = names::etc_hosts(pod, &self.ips(), "<HOST_ETC_HOSTS>", host);
        let want = file["content"].as_str().unwrap_or_default();
        match have.trim_end() == want.trim_end() {
            true => Ok(()),
            false => Err(format!("etc-hosts: want {want:?} have {have:?}")),
        }
    }

    /// What was read from the pod's cgroup.
    fn compare_cgroup(&self, pod: &DesiredPod, host: &Host) -> Result<(), String> {
        let recorded = &self.case["pod_cgroup"];
        if recorded.is_null() {
            return Ok(());
        }
        let bounds = pod_bounds_of(pod, host);
        let memory = bounds.memory.unwrap_or(i64::MAX);
        let have = json!({
            "path": cgroup_parent(pod, host).trim_start_matches('/'),
            "cpu.shares": bounds.cpu_shares.to_string(),
            "cpu.cfs_quota_us": bounds.cpu_quota.unwrap_or(-1).to_string(),
            "cpu.cfs_period_us": PERIOD.to_string(),
            // The kernel counts in pages.
            "memory.limit_in_bytes": (memory / 4096 * 4096).to_string(),
            "pids.max": bounds.pids.map_or("max".to_owned(), |p| p.to_string()),
        });
        difference(recorded, &have).map_err(|e| format!("pod cgroup\n{e}"))
    }
}

fn number(value: &Value) -> u32 {
    value
        .as_u64()
        .and_then(|n| u32::try_from(n).ok())
        .unwrap_or(0)
}

fn say(reason: Reason) -> String {
    format!("refused: {reason}")
}
