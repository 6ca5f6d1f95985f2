//! Images for trials: Debian's static busybox under any name, with any configuration. Built by
//! `busybox-image.sh`, which the demo uses too.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::harness::containerd::run;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node/busybox-image.sh");

/// What a sandbox runs: nothing, until it is told to end.
const PAUSE: &str = r#"trap "exit 0" TERM INT; while :; do sleep 2147483 & wait $!; done"#;

/// An image to be built. Two that differ in nothing have the same digest.
#[derive(Debug, Clone)]
pub struct Image {
    name: String,
    config: Value,
    ballast: u32,
}

impl Image {
    /// Busybox under `name` (`HOST/PATH:TAG`), running `sh`.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            config: json!({"Cmd": ["sh"], "Env": ["PATH=/bin"]}),
            ballast: 0,
        }
    }

    /// The sandbox's image under `name`.
    pub fn pause(name: &str) -> Self {
        Self::named(name).entrypoint(&["/bin/sh", "-c", PAUSE])
    }

    /// With this entrypoint and no command.
    pub fn entrypoint(mut self, words: &[&str]) -> Self {
        self.config["Cmd"] = Value::Null;
        self.config["Entrypoint"] = json!(words);
        self
    }

    /// With this command after the entrypoint.
    pub fn cmd(mut self, words: &[&str]) -> Self {
        self.config["Cmd"] = json!(words);
        self
    }

    /// Running as this user: a name or number, with or without `:GROUP`.
    pub fn user(mut self, user: &str) -> Self {
        self.config["User"] = json!(user);
        self
    }

    /// With one more environment variable, `NAME=value`.
    pub fn env(mut self, variable: &str) -> Self {
        if let Some(variables) = self.config["Env"].as_array_mut() {
            variables.push(json!(variable));
        }
        self
    }

    /// With a label: the cheapest way to a new digest under the same name.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.config["Labels"][key] = json!(value);
        self
    }

    /// With anything else of the image configuration's `config` object, such as `WorkingDir`,
    /// `Volumes` or `StopSignal`.
    pub fn set(mut self, key: &str, value: Value) -> Self {
        self.config[key] = value;
        self
    }

    /// With a layer of that many random MiB, so that a pull takes a while.
    pub fn ballast(mut self, mib: u32) -> Self {
        self.ballast = mib;
        self
    }

    /// The name in a registry: without the host.
    pub fn repository(&self) -> &str {
        self.name
            .split_once('/')
            .map_or(&self.name, |(_, path)| path)
    }

    /// Builds a docker archive in `dir` under a new name, and returns it. To have one in the
    /// agent's image directory before it looks, build it elsewhere and rename it.
    pub fn archive(&self, dir: &Path) -> PathBuf {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let archive = dir.join(format!("image-{number}.tar"));
        run(Command::new(SCRIPT)
            .arg(&archive)
            .arg(&self.name)
            .arg(self.config.to_string())
            .arg(self.ballast.to_string()));
        archive
    }

    /// As [`Self::archive`], in the OCI layout.
    pub fn oci_archive(&self, dir: &Path) -> PathBuf {
        let docker = self.archive(dir);
        let oci = docker.with_extension("oci.tar");
        run(Command::new("skopeo")
            .args(["copy", "-q", "--insecure-policy"])
            .arg(format!("docker-archive:{}", docker.display()))
            .arg(format!("oci-archive:{}:{}", oci.display(), self.name)));
        std::fs::remove_file(docker).expect("remove the docker archive");
        oci
    }
}
