//! Probes and lifecycle hooks: one handler each, and the numbers around it.

use serde_json::Value;

use super::at::{At, Errors};
use super::names;
use super::pod::Context;

/// Checks the hooks and all probes of a container.
pub(crate) fn all(errors: &mut Errors, container: &At<'_, '_>, context: &Context<'_>) {
    let lifecycle = container.field("lifecycle");
    for hook in ["postStart", "preStop"] {
        let at = lifecycle.field(hook);
        if at.is_set() {
            handler(
                errors,
                &at,
                &["exec", "httpGet", "tcpSocket", "sleep"],
                context,
            );
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = container.field(name);
        if !probe.is_set() {
            continue;
        }
        numbers(errors, &probe, context);
        if name == "readinessProbe" {
            let grace = probe.field("terminationGracePeriodSeconds");
            if grace.is_set() {
                errors.invalid(&grace, "has no meaning for a readiness probe; remove it");
            }
        } else if probe.field("successThreshold").int() != 1 {
            let message = "must be 1 for liveness and startup probes";
            errors.invalid(&probe.field("successThreshold"), message);
        }
    }
}

fn numbers(errors: &mut Errors, probe: &At<'_, '_>, context: &Context<'_>) {
    handler(
        errors,
        probe,
        &["exec", "httpGet", "tcpSocket", "grpc"],
        context,
    );
    for name in [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ] {
        errors.not_negative(&probe.field(name));
    }
    let grace = probe.field("terminationGracePeriodSeconds");
    if grace.is_set() && grace.int() <= 0 {
        errors.invalid(&grace, format!("is {}; it must be 1 or more", grace.int()));
    }
}

/// Exactly one of the kinds; the first is checked, the others are one too many.
fn handler(errors: &mut Errors, at: &At<'_, '_>, kinds: &[&'static str], context: &Context<'_>) {
    let mut count = 0;
    for kind in kinds {
        let handler = at.field(kind);
        if !handler.is_set() {
            continue;
        }
        count += 1;
        if count > 1 {
            errors.forbidden(&handler, "only one kind of handler is allowed; keep one");
            continue;
        }
        match *kind {
            "exec" => {
                let command = handler.field("command");
                if command.len() == 0 {
                    errors.required(&command, "must list the command and its arguments");
                }
            }
            "httpGet" => http_get(errors, &handler),
            "tcpSocket" => port(errors, &handler.field("port")),
            "grpc" => {
                let number = handler.field("port");
                if let Some(message) = names::port(number.int()) {
                    errors.invalid(&number, message);
                }
            }
            _ => sleep(errors, &handler, context),
        }
    }
    if count == 0 {
        errors.required(at, format!("must hold one of {}", super::at::list(kinds)));
    }
}

fn sleep(errors: &mut Errors, handler: &At<'_, '_>, context: &Context<'_>) {
    let seconds = handler.field("seconds").int();
    if seconds < 0 || seconds > context.grace {
        let grace = context.grace;
        let message = format!(
            "{seconds} seconds must be 0 to terminationGracePeriodSeconds, which is {grace}"
        );
        errors.invalid(handler, message);
    }
}

fn http_get(errors: &mut Errors, http: &At<'_, '_>) {
    let path = http.field("path");
    if path.str().is_empty() {
        errors.required(&path, "must be set, as /healthz");
    }
    port(errors, &http.field("port"));
    errors.one_of(&http.field("scheme"), &["HTTP", "HTTPS"]);
    let headers = http.field("httpHeaders");
    for header in headers.items() {
        if let Some(message) = names::header(header.field("name").str()) {
            errors.invalid(&headers, message);
        }
    }
}

/// A port by its number or by the name of a container's port.
fn port(errors: &mut Errors, port: &At<'_, '_>) {
    let message = match port.value() {
        Some(Value::String(name)) => names::port_name(name),
        _ => names::port(port.int()),
    };
    if let Some(message) = message {
        errors.invalid(port, message);
    }
}
