//! Probes and hooks of the specification as [`Check`]s: port names resolved, the host filled in,
//! probe commands expanded.
//!
//! Follows kubelet's prober (`pkg/kubelet/prober/prober.go`, `pkg/probe/http/request.go`) and its
//! lifecycle handlers (`pkg/kubelet/lifecycle/handlers.go`): a probe's command is expanded with the
//! container's literal environment, a hook's is not; a `tcpSocket` hook always fails.

use std::time::Duration;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::model::expand::expand;
use crate::model::{Check, ProbeTiming};

/// A container with the address it is asked at; `None` is the node's own.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub container: &'a core::Container,
    pub address: Option<&'a str>,
}

/// What a probe asks.
pub(super) fn of_probe(probe: &core::Probe, asked: Asked<'_>) -> Check {
    if let Some(exec) = &probe.exec {
        let command = exec.command.iter().flatten();
        return Check::Exec {
            command: command.map(|word| literal(word, asked.container)).collect(),
        };
    }
    if let Some(get) = &probe.http_get {
        return http(get, asked);
    }
    if let Some(tcp) = &probe.tcp_socket {
        let host = host(tcp.host.as_deref(), asked);
        return with_port(&tcp.port, asked, |port| Check::Tcp { host, port });
    }
    if let Some(grpc) = &probe.grpc {
        let port = IntOrString::Int(grpc.port);
        let host = host(None, asked);
        let service = grpc.service.clone().unwrap_or_default();
        return with_port(&port, asked, |port| Check::Grpc {
            host,
            port,
            service,
        });
    }
    Check::Invalid {
        why: "the probe has no handler".to_owned(),
    }
}

/// What a hook does.
pub(super) fn of_hook(hook: &core::LifecycleHandler, asked: Asked<'_>) -> Check {
    if let Some(exec) = &hook.exec {
        return Check::Exec {
            command: exec.command.clone().unwrap_or_default(),
        };
    }
    if let Some(get) = &hook.http_get {
        return http(get, asked);
    }
    if let Some(sleep) = &hook.sleep {
        return Check::Sleep {
            time: seconds(Some(sleep.seconds), 0),
        };
    }
    Check::Invalid {
        why: "invalid handler".to_owned(),
    }
}

/// A probe's numbers, the API's defaults where it says none.
pub(super) fn timing(probe: &core::Probe) -> ProbeTiming {
    let whole = |value: Option<i32>, default| seconds(value.map(i64::from), default);
    let times = |value: Option<i32>, default: u32| {
        let value = value.and_then(|value| u32::try_from(value).ok());
        value.filter(|value| *value > 0).unwrap_or(default)
    };
    ProbeTiming {
        initial_delay: whole(probe.initial_delay_seconds, 0),
        period: whole(probe.period_seconds.filter(|s| *s > 0), 10),
        timeout: whole(probe.timeout_seconds.filter(|s| *s > 0), 1),
        successes: times(probe.success_threshold, 1),
        failures: times(probe.failure_threshold, 3),
    }
}

fn seconds(value: Option<i64>, default: u64) -> Duration {
    let value = value.and_then(|value| u64::try_from(value).ok());
    Duration::from_secs(value.unwrap_or(default))
}

fn http(get: &core::HTTPGetAction, asked: Asked<'_>) -> Check {
    let headers = get.http_headers.iter().flatten();
    let headers = headers.map(|h| (h.name.clone(), h.value.clone())).collect();
    let scheme = get.scheme.as_deref().unwrap_or("HTTP");
    with_port(&get.port, asked, |port| Check::Http {
        host: host(get.host.as_deref(), asked),
        port,
        path: get.path.clone().unwrap_or_default(),
        tls: scheme.eq_ignore_ascii_case("https"),
        headers,
    })
}

fn host(named: Option<&str>, asked: Asked<'_>) -> Option<String> {
    let named = named.filter(|host| !host.is_empty());
    named.or(asked.address).map(str::to_owned)
}

/// The check on a port by number or by the name the container gives it.
fn with_port(port: &IntOrString, asked: Asked<'_>, check: impl FnOnce(u16) -> Check) -> Check {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let mut ports = asked.container.ports.iter().flatten();
            let named = ports.find(|p| p.name.as_ref() == Some(name));
            named
                .map(|p| p.container_port)
                .or_else(|| name.parse().ok())
        }
    };
    match number.and_then(|number| u16::try_from(number).ok()) {
        Some(number) if number > 0 => check(number),
        _ => Check::Invalid {
            why: match port {
                IntOrString::Int(number) => format!("invalid port number: {number}"),
                IntOrString::String(name) => format!("couldn't find port: {name:?}"),
            },
        },
    }
}

/// A word of a probe's command with references to the container's literal variables replaced.
fn literal(word: &str, container: &core::Container) -> String {
    let lookup = |name: &str| {
        let mut variables = container.env.iter().flatten().rev();
        let variable = variables.find(|variable| variable.name == name)?;
        Some(variable.value.clone().unwrap_or_default().into_bytes())
    };
    String::from_utf8_lossy(&expand(word, lookup)).into_owned()
}
