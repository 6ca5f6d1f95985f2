//! Pods of somebody else, made through raw CRI calls: for what the agent must leave alone, and to
//! see that the containerd under test works at all. Nothing of the agent's runtime module is used
//! but the generated messages.

use std::path::PathBuf;
use std::time::Duration;

use setlet::cri;
use setlet::cri::image_service_client::ImageServiceClient;
use setlet::cri::runtime_service_client::RuntimeServiceClient;

use super::containerd::{Containerd, block_on};

/// What a foreign pod is made of.
#[derive(Debug, Clone)]
pub struct Recipe<'a> {
    /// Its name, unique on its containerd.
    pub name: &'a str,
    /// Its container's image.
    pub image: &'a str,
    /// What its container runs; empty for what the image says.
    pub command: &'a [&'a str],
    /// Labels beside kubelet's own, on the pod and on its container.
    pub labels: &'a [(&'a str, &'a str)],
    /// (host port, container port).
    pub port: Option<(u16, u16)>,
}

/// A pod that runs, with one container.
#[derive(Debug)]
pub struct Pod {
    /// The sandbox's id.
    pub sandbox: String,
    /// The container's id.
    pub container: String,
    /// The container's log.
    pub log: PathBuf,
    /// The pod's address.
    pub ip: String,
}

/// Runs a pod.
///
/// # Panics
///
/// When a call fails.
pub fn run(containerd: &Containerd, recipe: &Recipe<'_>) -> Pod {
    try_run(containerd, recipe).unwrap_or_else(|status| panic!("{}: {status}", recipe.name))
}

/// As [`run`], but returns what the runtime says.
pub fn try_run(containerd: &Containerd, recipe: &Recipe<'_>) -> Result<Pod, tonic::Status> {
    let logs = containerd.base().join("foreign").join(recipe.name);
    std::fs::create_dir_all(&logs).expect("a directory for logs");
    let sandbox = sandbox_config(recipe, logs.to_str().expect("a plain name"));
    let config = container_config(recipe, &sandbox);
    block_on(async {
        let mut runtime = RuntimeServiceClient::new(containerd.channel().await);
        let run = cri::RunPodSandboxRequest {
            config: Some(sandbox.clone()),
            ..Default::default()
        };
        let pod_sandbox_id = runtime
            .run_pod_sandbox(run)
            .await?
            .into_inner()
            .pod_sandbox_id;
        let create = cri::CreateContainerRequest {
            pod_sandbox_id: pod_sandbox_id.clone(),
            config: Some(config),
            sandbox_config: Some(sandbox),
        };
        let container_id = runtime
            .create_container(create)
            .await?
            .into_inner()
            .container_id;
        let start = cri::StartContainerRequest {
            container_id: container_id.clone(),
        };
        runtime.start_container(start).await?;
        let status = cri::PodSandboxStatusRequest {
            pod_sandbox_id: pod_sandbox_id.clone(),
            ..Default::default()
        };
        let status = runtime
            .pod_sandbox_status(status)
            .await?
            .into_inner()
            .status;
        Ok(Pod {
            sandbox: pod_sandbox_id,
            container: container_id,
            log: logs.join("main.log"),
            ip: status
                .and_then(|status| status.network)
                .unwrap_or_default()
                .ip,
        })
    })
}

/// Ends a pod at once and removes it with its containers.
pub fn remove(containerd: &Containerd, sandbox: &str) {
    let what = format!("sandbox {sandbox} is removed");
    super::wait_for(Duration::from_secs(10), &what, || {
        try_remove(containerd, sandbox).map_err(|status| status.to_string())
    });
}

/// The same after a kill of the agent, which may have left the runtime in the middle of a call: that
/// is waited for, and what then cannot be removed is left to containerd's own end.
pub fn clear(containerd: &Containerd, sandbox: &str) {
    let mut left = 20;
    while let Err(status) = try_remove(containerd, sandbox) {
        left -= 1;
        if left == 0 {
            eprintln!("sandbox {sandbox} is left: {status}");
            return;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn try_remove(containerd: &Containerd, sandbox: &str) -> Result<(), tonic::Status> {
    let pod_sandbox_id = sandbox.to_owned();
    block_on(async {
        let mut runtime = RuntimeServiceClient::new(containerd.channel().await);
        let stop = cri::StopPodSandboxRequest {
            pod_sandbox_id: pod_sandbox_id.clone(),
        };
        let remove = cri::RemovePodSandboxRequest { pod_sandbox_id };
        let removed = match runtime.stop_pod_sandbox(stop).await {
            Ok(_) => runtime.remove_pod_sandbox(remove).await.map(drop),
            Err(status) => Err(status),
        };
        match removed {
            Err(status) if status.code() == tonic::Code::NotFound => Ok(()),
            removed => removed,
        }
    })
}

/// Pulls an image, or says what the runtime says.
pub fn pull(containerd: &Containerd, image: &str) -> Result<(), tonic::Status> {
    block_on(async {
        let request = cri::PullImageRequest {
            image: Some(cri::ImageSpec {
                image: image.to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let mut images = ImageServiceClient::new(containerd.channel().await);
        images.pull_image(request).await.map(drop)
    })
}

fn sandbox_config(recipe: &Recipe<'_>, logs: &str) -> cri::PodSandboxConfig {
    let uid = format!("uid-{}", recipe.name);
    let kubelet = [
        ("io.kubernetes.pod.name", recipe.name),
        ("io.kubernetes.pod.namespace", "default"),
        ("io.kubernetes.pod.uid", uid.as_str()),
    ];
    let port = recipe.port.map(|(host, container)| cri::PortMapping {
        container_port: container.into(),
        host_port: host.into(),
        ..Default::default()
    });
    cri::PodSandboxConfig {
        metadata: Some(cri::PodSandboxMetadata {
            name: recipe.name.into(),
            uid: uid.clone(),
            namespace: "default".into(),
            attempt: 0,
        }),
        log_directory: logs.into(),
        port_mappings: port.into_iter().collect(),
        labels: kubelet
            .iter()
            .chain(recipe.labels)
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect(),
        ..Default::default()
    }
}

fn container_config(recipe: &Recipe<'_>, sandbox: &cri::PodSandboxConfig) -> cri::ContainerConfig {
    let mut labels = sandbox.labels.clone();
    labels.insert("io.kubernetes.container.name".into(), "main".into());
    cri::ContainerConfig {
        metadata: Some(cri::ContainerMetadata {
            name: "main".into(),
            attempt: 0,
        }),
        image: Some(cri::ImageSpec {
            image: recipe.image.into(),
            ..Default::default()
        }),
        command: recipe.command.iter().map(ToString::to_string).collect(),
        labels,
        log_path: "main.log".into(),
        ..Default::default()
    }
}
