//! The containers of a pod or of a pod template.

use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStatus, EnvVar, Probe, ResourceRequirements, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::page::{NONE, Page, moment};

/// What containers they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Init,
    Main,
}

/// Writes containers, with what became of them where that is known; nothing for no init containers.
pub(super) fn write(
    depth: usize,
    title: &str,
    kind: Kind,
    containers: &[Container],
    statuses: Option<&[ContainerStatus]>,
    page: &mut Page,
) {
    if containers.is_empty() && kind == Kind::Init {
        return;
    }
    page.text(depth, format!("{title}:"));
    for container in containers {
        page.text(depth + 1, format!("{}:", container.name));
        let status = statuses
            .into_iter()
            .flatten()
            .find(|s| s.name == container.name);
        one(depth + 2, container, status, page);
    }
}

fn one(depth: usize, container: &Container, status: Option<&ContainerStatus>, page: &mut Page) {
    if let Some(status) = status {
        page.field(
            depth,
            "Container ID",
            status.container_id.clone().unwrap_or_default(),
        );
    }
    page.field(depth, "Image", container.image.clone().unwrap_or_default());
    if let Some(status) = status {
        page.field(depth, "Image ID", &*status.image_id);
    }
    ports(depth, container, page);
    for (label, words) in [("Command", &container.command), ("Args", &container.args)] {
        if let Some(words) = words.as_ref().filter(|words| !words.is_empty()) {
            page.text(depth, format!("{label}:"));
            let lines = words.iter().flat_map(|word| word.lines());
            lines.for_each(|line| page.text(depth + 1, line));
        }
    }
    if let Some(status) = status {
        state(depth, "State", status.state.as_ref(), page);
        let last = status
            .last_state
            .as_ref()
            .filter(|state| state.terminated.is_some());
        if last.is_some() {
            state(depth, "Last State", last, page);
        }
        page.field(depth, "Ready", if status.ready { "True" } else { "False" });
        page.field(depth, "Restart Count", status.restart_count.to_string());
    }
    resources(depth, container.resources.as_ref(), page);
    for (label, probe) in [
        ("Liveness", &container.liveness_probe),
        ("Readiness", &container.readiness_probe),
        ("Startup", &container.startup_probe),
    ] {
        if let Some(probe) = probe {
            page.field(depth, label, self::probe(probe));
        }
    }
    environment(depth, container, page);
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    if mounts.is_empty() {
        page.field(depth, "Mounts", NONE);
    } else {
        page.text(depth, "Mounts:");
        mounts
            .iter()
            .for_each(|mount| page.text(depth + 1, self::mount(mount)));
    }
}

fn ports(depth: usize, container: &Container, page: &mut Page) {
    let ports = container.ports.as_deref().unwrap_or_default();
    let joined = |number: fn(&k8s_openapi::api::core::v1::ContainerPort) -> i32| {
        let one = |port| {
            format!(
                "{}/{}",
                number(port),
                port.protocol.as_deref().unwrap_or("TCP")
            )
        };
        match ports {
            [] => NONE.to_owned(),
            ports => ports.iter().map(one).collect::<Vec<_>>().join(", "),
        }
    };
    let (label, host) = match ports.len() {
        0 | 1 => ("Port", "Host Port"),
        _ => ("Ports", "Host Ports"),
    };
    page.field(depth, label, joined(|port| port.container_port));
    page.field(depth, host, joined(|port| port.host_port.unwrap_or(0)));
}

fn state(depth: usize, label: &str, state: Option<&ContainerState>, page: &mut Page) {
    let state = state.cloned().unwrap_or_default();
    if let Some(running) = &state.running {
        page.field(depth, label, "Running");
        if let Some(at) = &running.started_at {
            page.field(depth + 1, "Started", moment(at));
        }
    } else if let Some(ended) = &state.terminated {
        page.field(depth, label, "Terminated");
        page.some(depth + 1, "Reason", ended.reason.as_deref());
        page.some(depth + 1, "Message", ended.message.as_deref());
        page.field(depth + 1, "Exit Code", ended.exit_code.to_string());
        for (label, at) in [
            ("Started", &ended.started_at),
            ("Finished", &ended.finished_at),
        ] {
            if let Some(at) = at {
                page.field(depth + 1, label, moment(at));
            }
        }
    } else {
        page.field(depth, label, "Waiting");
        let waiting = state.waiting.unwrap_or_default();
        page.some(depth + 1, "Reason", waiting.reason.as_deref());
        page.some(depth + 1, "Message", waiting.message.as_deref());
    }
}

fn resources(depth: usize, resources: Option<&ResourceRequirements>, page: &mut Page) {
    let Some(resources) = resources else { return };
    for (label, amounts) in [
        ("Limits", &resources.limits),
        ("Requests", &resources.requests),
    ] {
        let Some(amounts) = amounts.as_ref().filter(|amounts| !amounts.is_empty()) else {
            continue;
        };
        page.text(depth, format!("{label}:"));
        for (name, amount) in amounts {
            page.field(depth + 1, name, &*amount.0);
        }
    }
}

/// A probe in one line: how it asks, then its numbers.
fn probe(probe: &Probe) -> String {
    let port = |port: &IntOrString| match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => name.clone(),
    };
    let how = if let Some(exec) = &probe.exec {
        format!(
            "exec [{}]",
            exec.command.clone().unwrap_or_default().join(" ")
        )
    } else if let Some(get) = &probe.http_get {
        let scheme = get.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
        let host = get.host.as_deref().unwrap_or_default();
        let path = get.path.as_deref().unwrap_or_default();
        format!("http-get {scheme}://{host}:{}{path}", port(&get.port))
    } else if let Some(tcp) = &probe.tcp_socket {
        let host = tcp.host.as_deref().unwrap_or_default();
        format!("tcp-socket {host}:{}", port(&tcp.port))
    } else if let Some(grpc) = &probe.grpc {
        let service = grpc.service.as_deref().unwrap_or_default();
        format!("grpc <pod>:{} {service}", grpc.port)
            .trim_end()
            .to_owned()
    } else {
        "unknown".to_owned()
    };
    format!(
        "{how} delay={}s timeout={}s period={}s #success={} #failure={}",
        probe.initial_delay_seconds.unwrap_or(0),
        probe.timeout_seconds.unwrap_or(1),
        probe.period_seconds.unwrap_or(10),
        probe.success_threshold.unwrap_or(1),
        probe.failure_threshold.unwrap_or(3),
    )
}

fn environment(depth: usize, container: &Container, page: &mut Page) {
    let from = container.env_from.as_deref().unwrap_or_default();
    if !from.is_empty() {
        page.text(depth, "Environment Variables from:");
        for source in from {
            let optional = |optional: Option<bool>| optional.unwrap_or(false);
            if let Some(map) = &source.config_map_ref {
                let text = format!("ConfigMap  Optional: {}", optional(map.optional));
                page.field(depth + 1, &map.name, text);
            } else if let Some(secret) = &source.secret_ref {
                let text = format!("Secret  Optional: {}", optional(secret.optional));
                page.field(depth + 1, &secret.name, text);
            }
        }
    }
    let variables = container.env.as_deref().unwrap_or_default();
    if variables.is_empty() {
        page.field(depth, "Environment", NONE);
        return;
    }
    page.text(depth, "Environment:");
    for variable in variables {
        page.field(depth + 1, &variable.name, value(variable));
    }
}

/// A variable's value, or where it comes from; never what a Secret holds.
fn value(variable: &EnvVar) -> String {
    let Some(from) = &variable.value_from else {
        return variable.value.clone().unwrap_or_default();
    };
    let key = |key: &str, kind: &str, name: &str, optional: Option<bool>| {
        let optional = optional.unwrap_or(false);
        format!("<set to the key '{key}' of {kind} '{name}'>  Optional: {optional}")
    };
    if let Some(field) = &from.field_ref {
        let version = field.api_version.as_deref().unwrap_or("v1");
        format!(" ({version}:{})", field.field_path)
    } else if let Some(resource) = &from.resource_field_ref {
        let container = resource.container_name.as_deref().unwrap_or_default();
        format!(" ({container} {})", resource.resource).replace("( ", "(")
    } else if let Some(map) = &from.config_map_key_ref {
        key(&map.key, "config map", &map.name, map.optional)
    } else if let Some(secret) = &from.secret_key_ref {
        key(&secret.key, "secret", &secret.name, secret.optional)
    } else if let Some(file) = &from.file_key_ref {
        key(&file.key, "file", &file.path, file.optional)
    } else {
        String::new()
    }
}

fn mount(mount: &VolumeMount) -> String {
    let mode = if mount.read_only == Some(true) {
        "ro"
    } else {
        "rw"
    };
    let sub = mount.sub_path.as_deref().or(mount.sub_path_expr.as_deref());
    let sub = sub.filter(|path| !path.is_empty());
    let sub = sub
        .map(|path| format!(",path=\"{path}\""))
        .unwrap_or_default();
    format!("{} from {} ({mode}{sub})", mount.mount_path, mount.name)
}
