//! The rules a merged configuration must keep. Pure; every broken rule is reported, not the first.
//!
//! Label keys and values are those of Kubernetes' apimachinery (`IsQualifiedName`,
//! `IsValidLabelValue`); a node's name is an RFC 1123 subdomain.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Config, Enforcement, Problem};

/// kubelet's signals.
const SIGNALS: &[&str] = &[
    "memory.available",
    "nodefs.available",
    "nodefs.inodesFree",
    "imagefs.available",
    "imagefs.inodesFree",
    "containerfs.available",
    "containerfs.inodesFree",
    "pid.available",
];

/// Every rule that is broken.
pub(super) fn check(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    check_identity(config, &mut problems);
    check_taints(config, &mut problems);
    check_amounts(config, &mut problems);
    check_times(config, &mut problems);
    check_paths(config, &mut problems);
    problems
}

fn check_identity(config: &Config, problems: &mut Vec<Problem>) {
    if let Some(name) = &config.node_name
        && !is_subdomain(name)
    {
        problems.push(Problem::new(
            "nodeName",
            format!(
                "{name:?} is no valid node name: lower case letters, digits, '-' and '.', \
                 beginning and ending with a letter or digit, at most 253 characters"
            ),
        ));
    }
    for (key, value) in &config.node_labels {
        let field = format!("nodeLabels[{key}]");
        check_label(&field, key, value, problems);
    }
    let endpoint = &config.container_runtime_endpoint;
    if !endpoint
        .strip_prefix("unix://")
        .is_some_and(|path| Path::new(path).is_absolute())
    {
        problems.push(Problem::new(
            "containerRuntimeEndpoint",
            format!("{endpoint:?} must be unix:// and an absolute path"),
        ));
    }
    if config.socket_group.is_empty() {
        problems.push(Problem::new("socketGroup", "must name a group"));
    }
}

fn check_taints(config: &Config, problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for (index, taint) in config.node_taints.iter().enumerate() {
        let field = format!("nodeTaints[{index}]");
        check_label(&format!("{field}.key"), &taint.key, "", problems);
        if !is_label_value(&taint.value) {
            problems.push(bad_value(&format!("{field}.value"), &taint.value));
        }
        if !seen.insert((&taint.key, taint.effect)) {
            problems.push(Problem::new(
                field,
                format!("key {:?} has this effect twice", taint.key),
            ));
        }
    }
}

fn check_amounts(config: &Config, problems: &mut Vec<Problem>) {
    let gc = &config.image_gc;
    for (name, percent) in [
        ("imageGC.highThresholdPercent", gc.high_threshold_percent),
        ("imageGC.lowThresholdPercent", gc.low_threshold_percent),
    ] {
        if percent > 100 {
            problems.push(Problem::new(name, format!("{percent} is more than 100")));
        }
    }
    if gc.low_threshold_percent >= gc.high_threshold_percent {
        problems.push(Problem::new(
            "imageGC.lowThresholdPercent",
            format!(
                "{} must be less than highThresholdPercent, which is {}",
                gc.low_threshold_percent, gc.high_threshold_percent
            ),
        ));
    }
    if config.pod_pids_limit == 0 || config.pod_pids_limit < -1 {
        let message = format!(
            "{} must be at least 1, or -1 for no limit",
            config.pod_pids_limit
        );
        problems.push(Problem::new("podPidsLimit", message));
    }
    let enforced = &config.enforce_node_allocatable;
    if enforced.len() > 1 && enforced.contains(&Enforcement::None) {
        let message = "none must stand alone";
        problems.push(Problem::new("enforceNodeAllocatable", message));
    }
    if config.image_pull.max_parallel == 0 {
        problems.push(Problem::new("imagePull.maxParallel", "must be at least 1"));
    }
    if config.container_log.max_files < 2 {
        problems.push(Problem::new(
            "containerLog.maxFiles",
            "must be at least 2: the file that is written and a rotated one",
        ));
    }
    if config.container_log.max_size.0 == 0 {
        problems.push(Problem::new("containerLog.maxSize", "must be more than 0"));
    }
    for signal in config.eviction_hard.keys() {
        if !SIGNALS.contains(&signal.as_str()) {
            problems.push(Problem::new(
                format!("evictionHard[{signal}]"),
                format!("unknown signal; known are {}", SIGNALS.join(", ")),
            ));
        }
    }
}

fn check_times(config: &Config, problems: &mut Vec<Problem>) {
    let back_off = &config.crash_loop_back_off;
    for (name, duration) in [
        ("manifests.rescanInterval", config.manifests.rescan_interval),
        ("runtimeRequestTimeout", config.runtime_request_timeout),
        (
            "rollback.progressDeadline",
            config.rollback.progress_deadline,
        ),
        ("crashLoopBackOff.initial", back_off.initial),
        ("crashLoopBackOff.max", back_off.max),
        ("crashLoopBackOff.reset", back_off.reset),
    ] {
        if duration.0.is_zero() {
            problems.push(Problem::new(name, "must be more than 0"));
        }
    }
    if back_off.initial > back_off.max {
        problems.push(Problem::new(
            "crashLoopBackOff.max",
            format!(
                "{} is less than initial, which is {}",
                back_off.max, back_off.initial
            ),
        ));
    }
}

fn check_paths(config: &Config, problems: &mut Vec<Problem>) {
    let paths = &config.paths;
    let kubeconfig = config.kubernetes.as_ref().map(|k| k.kubeconfig.as_path());
    for (name, path) in [
        ("manifests.path", Some(config.manifests.path.as_path())),
        ("kubernetes.kubeconfig", kubeconfig),
        // Empty means none.
        (
            "resolvConf",
            Some(config.resolv_conf.as_path()).filter(|path| !path.as_os_str().is_empty()),
        ),
        ("dockerConfigFile", config.docker_config_file.as_deref()),
        (
            "imageCredentialProviderConfigFile",
            config.image_credential_provider_config_file.as_deref(),
        ),
        (
            "imageCredentialProviderBinDir",
            config.image_credential_provider_bin_dir.as_deref(),
        ),
        ("cgroupRoot", Some(config.cgroup_root.as_path())),
        ("paths.state", Some(paths.state.as_path())),
        ("paths.run", Some(paths.run.as_path())),
        ("paths.images", Some(paths.images.as_path())),
        ("paths.podLogs", Some(paths.pod_logs.as_path())),
        ("paths.containerLogs", Some(paths.container_logs.as_path())),
    ] {
        if path.is_some_and(|path| !path.is_absolute()) {
            problems.push(Problem::new(name, "must be an absolute path"));
        }
    }
    // As kubelet: one is nothing without the other.
    let (file, directory) = (
        "imageCredentialProviderConfigFile",
        "imageCredentialProviderBinDir",
    );
    let alone = match (
        &config.image_credential_provider_config_file,
        &config.image_credential_provider_bin_dir,
    ) {
        (Some(_), None) => (file, directory),
        (None, Some(_)) => (directory, file),
        _ => return,
    };
    let needs = format!("needs {} to be set, too", alone.1);
    problems.push(Problem::new(alone.0, needs));
}

fn check_label(field: &str, key: &str, value: &str, problems: &mut Vec<Problem>) {
    if !is_label_key(key) {
        problems.push(Problem::new(
            field,
            format!(
                "{key:?} is no valid label key: an optional DNS name and '/', then at most 63 \
                 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit"
            ),
        ));
    }
    if !is_label_value(value) {
        problems.push(bad_value(field, value));
    }
}

fn bad_value(field: &str, value: &str) -> Problem {
    Problem::new(
        field,
        format!(
            "{value:?} is no valid label value: empty, or at most 63 letters, digits, '-', '_' \
             and '.', beginning and ending with a letter or digit"
        ),
    )
}

fn is_name(text: &str, length: usize, inner: fn(u8) -> bool, outer: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    bytes.len() <= length
        && ends.iter().all(|end| end.is_some_and(|b| outer(*b)))
        && bytes.iter().all(|b| inner(*b) || outer(*b))
}

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253
        && text
            .split('.')
            .all(|part| is_name(part, 253, |b| b == b'-', is_lower))
}

fn is_label_part(text: &str) -> bool {
    is_name(
        text,
        63,
        |b| b"-_.".contains(&b),
        |b| b.is_ascii_alphanumeric(),
    )
}

fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_label_part(text)
}

fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_label_part(name),
        None => is_label_part(text),
    }
}
