//! The same server under `podman kube play --replace`, on storage of its own, where podman is
//! installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::json;

use crate::harness::Containerd;
use crate::harness::containerd::BUSYBOX;
use crate::image::Image;

/// Podman raises limits as far as the kernel goes, which takes CAP_SYS_RESOURCE; these need nothing.
const CONFIGURATION: &str =
    "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n";

/// Podman with a storage of its own; dropping it removes the pod and the storage.
pub struct Podman {
    dir: PathBuf,
}

impl Podman {
    /// With the server's image in it; or why it cannot be.
    pub fn new(containerd: &Containerd) -> Result<Self, String> {
        let podman = Self {
            dir: containerd.base().join("podman"),
        };
        std::fs::create_dir_all(&podman.dir).map_err(|error| error.to_string())?;
        std::fs::write(podman.configuration(), CONFIGURATION).map_err(|error| error.to_string())?;
        podman.run(&["version", "--format", "{{.Version}}"])?;
        let archive = Image::named(BUSYBOX).archive(&podman.dir);
        podman.run(&["load", "-q", "-i", &archive.to_string_lossy()])?;
        Ok(podman)
    }

    /// Replaces the pod by one that runs this, on the host's network.
    pub fn play(&self, script: &str, revision: &str) -> Result<(), String> {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "played"},
            "spec": {"hostNetwork": true, "terminationGracePeriodSeconds": 5, "containers": [{
                "name": "main", "image": BUSYBOX, "imagePullPolicy": "Never",
                "command": ["sh", "-c", script], "env": [{"name": "REV", "value": revision}]}]}});
        let file = self.dir.join("pod.json");
        std::fs::write(&file, pod.to_string()).map_err(|error| error.to_string())?;
        self.run(&["kube", "play", "--replace", &file.to_string_lossy()])
    }

    fn run(&self, args: &[&str]) -> Result<(), String> {
        let Output { status, stderr, .. } =
            self.command()
                .args(args)
                .output()
                .map_err(|error| match error.kind() {
                    std::io::ErrorKind::NotFound => "podman is not installed".to_owned(),
                    _ => error.to_string(),
                })?;
        if status.success() {
            Ok(())
        } else {
            let said = String::from_utf8_lossy(&stderr);
            Err(format!("podman {}: {}", args[0], said.trim()))
        }
    }

    fn configuration(&self) -> PathBuf {
        self.dir.join("containers.conf")
    }

    fn command(&self) -> Command {
        let mut command = Command::new("podman");
        let part = |name: &str| -> PathBuf { Path::join(&self.dir, name) };
        command
            .arg("--root")
            .arg(part("root"))
            .arg("--runroot")
            .arg(part("run"))
            .arg("--tmpdir")
            .arg(part("tmp"))
            .args(["--cgroup-manager", "cgroupfs", "--events-backend", "none"])
            // crun refuses hybrid cgroups.
            .args(["--runtime", "runc"])
            .env("CONTAINERS_CONF", self.configuration())
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.run(&["pod", "rm", "--all", "--force"]).ok();
        self.run(&["system", "reset", "--force"]).ok();
    }
}
