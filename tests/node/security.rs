//! What a container may do, and what it is bounded by, as it finds it.

use std::sync::Arc;

use crate::evidence::{DONE, assert_lines, report};
use crate::harness::agent::SOON;
use crate::harness::{Agent, Containerd};
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together("security::users_and_rights", users_and_rights);
    suite.together("security::privileged_and_plain", privileged_and_plain);
    suite.together("security::what_is_refused", what_is_refused);
    suite.together("security::a_profile_of_the_hosts", a_profile_of_the_hosts);
    suite.together("security::bounds", bounds);
}

const FACTS: &str = "id; grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status; \
    touch /x 2>/dev/null && echo writable || echo read-only; \
    dd if=/proc/kcore bs=1 count=1 2>/dev/null | wc -c";

fn users_and_rights(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "security-rights");
    let script = format!("{FACTS}; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; {DONE}");
    let set = Set {
        script: &script,
        pod: &[
            "securityContext: {runAsUser: 1234, runAsGroup: 2345, supplementalGroups: [3456], \
             fsGroup: 4567, sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: '80'}], \
             seccompProfile: {type: RuntimeDefault}}",
        ],
        container: &[
            "securityContext: {runAsGroup: 999, runAsNonRoot: true, readOnlyRootFilesystem: true, \
             allowPrivilegeEscalation: false, capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}}",
        ],
        ..sleeper("rights")
    };
    agent.put("a.yaml", &set.yaml());
    let (_, text) = report(&agent, "rights");
    assert_lines(
        &text,
        &[
            "NoNewPrivs:\t1",
            "Seccomp:\t2",
            // Of another user than root, and not ambient.
            "CapEff:\t0000000000000000",
            "read-only",
            "80",
            "0",
        ],
    );
    let id = text.lines().next().expect("its id");
    for part in ["uid=1234", "gid=999", "3456", "4567"] {
        assert!(id.contains(part), "{part} in {id}");
    }
}

fn privileged_and_plain(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "security-privileged");
    let script = format!("{FACTS}; ls /dev | wc -l; {DONE}");
    let privileged = Set {
        script: &script,
        container: &["securityContext: {privileged: true}"],
        ..sleeper("privileged")
    };
    let plain = Set {
        script: &script,
        container: &["securityContext: {capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}}"],
        ..sleeper("plain")
    };
    agent.put("a.yaml", &privileged.yaml());
    agent.put("b.yaml", &plain.yaml());
    let (_, all) = report(&agent, "privileged");
    let (_, some) = report(&agent, "plain");
    assert_lines(
        &some,
        &[
            "CapEff:\t0000000000000400",
            "NoNewPrivs:\t0",
            "writable",
            "0",
        ],
    );
    assert_lines(&all, &["Seccomp:\t0", "writable"]);
    let rights = |text: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("CapEff:\t"));
        u64::from_str_radix(line.expect("its rights"), 16).expect("a number")
    };
    assert!(
        rights(&all).count_ones() > 14,
        "more than containerd's default: {all}"
    );
    let devices = |text: &str| {
        let count = text.lines().rev().nth(1).expect("a count");
        count.trim().parse::<u32>().expect("a number")
    };
    assert!(devices(&all) > devices(&some), "{all}{some}");
}

/// Reasons name the field, or what the kubelet says; nothing is started half.
fn what_is_refused(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "security-refused");
    let cases = [
        (
            "root",
            "securityContext: {runAsNonRoot: true}",
            "container has runAsNonRoot and image will run as root",
        ),
        (
            "sysctl",
            "securityContext: {sysctls: [{name: kernel.msgmax, value: '1'}]}",
            "kernel.msgmax",
        ),
        (
            "profile",
            "securityContext: {seccompProfile: {type: Localhost, localhostProfile: none.json}}",
            "none.json",
        ),
    ];
    for (name, field, _) in cases {
        let set = Set {
            pod: &[field],
            ..sleeper(name)
        };
        agent.put(&format!("{name}.yaml"), &set.yaml());
    }
    agent.put("fine.yaml", &sleeper("fine").yaml());
    agent.wait_running("fine", 1);
    agent.ready();
    for (name, _, why) in cases {
        agent.wait_for(SOON, &format!("{name} is refused"), || {
            let explained = agent.try_setlet(&["explain", name]).stdout;
            if explained.contains(why) {
                Ok(())
            } else {
                Err(explained)
            }
        });
        assert!(agent.running_of(name).is_empty(), "{name}");
    }
}

/// A seccomp profile below the state directory, which forbids one call.
fn a_profile_of_the_hosts(containerd: &Arc<Containerd>) {
    let mut agent = Agent::new(containerd, "security-profile");
    let directory = agent.dir().join("state/seccomp/own");
    std::fs::create_dir_all(&directory).expect("a directory");
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}"#;
    std::fs::write(directory.join("p.json"), profile).expect("a profile");
    agent.start();
    let script =
        format!("mkdir /x 2>/dev/null || echo forbidden; grep Seccomp: /proc/self/status; {DONE}");
    let set = Set {
        script: &script,
        container: &[
            "securityContext: {seccompProfile: {type: Localhost, localhostProfile: own/p.json}}",
        ],
        ..sleeper("profile")
    };
    agent.put("a.yaml", &set.yaml());
    let (_, text) = report(&agent, "profile");
    assert_eq!(text, "forbidden\nSeccomp:\t2\nDONE\n");
}

fn bounds(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "security-bounds");
    // Of cgroup v1, or of v2.
    let script = format!(
        "cd /sys/fs/cgroup; for f in memory/memory.limit_in_bytes cpu/cpu.shares cpu/cpu.cfs_quota_us \
         memory.max cpu.weight cpu.max; do test -e $f && echo \"$f `cat $f`\"; done; \
         echo \"oom `cat /proc/self/oom_score_adj`\"; {DONE}"
    );
    let set = |name: &'static str, resources: &'static str| {
        let set = Set {
            script: &script,
            container: &[resources],
            ..sleeper(name)
        };
        agent.put(&format!("{name}.yaml"), &set.yaml());
    };
    set(
        "guaranteed",
        "resources: {limits: {cpu: 100m, memory: 32Mi}}",
    );
    set(
        "burstable",
        "resources: {requests: {cpu: 200m}, limits: {memory: 64Mi}}",
    );
    set("effort", "resources: {}");
    let has = |text: &str, v1: &str, v2: &str| {
        let found = text.lines().any(|line| line == v1 || line == v2);
        assert!(found, "{v1:?} or {v2:?} in\n{text}");
    };
    let (_, text) = report(&agent, "guaranteed");
    has(
        &text,
        "memory/memory.limit_in_bytes 33554432",
        "memory.max 33554432",
    );
    has(&text, "cpu/cpu.cfs_quota_us 10000", "cpu.max 10000 100000");
    has(&text, "cpu/cpu.shares 102", "cpu.weight 4");
    let (_, text) = report(&agent, "burstable");
    has(
        &text,
        "memory/memory.limit_in_bytes 67108864",
        "memory.max 67108864",
    );
    has(&text, "cpu/cpu.shares 204", "cpu.weight 8");
    let (_, text) = report(&agent, "effort");
    has(&text, "cpu/cpu.shares 2", "cpu.weight 1");
    assert_lines(&text, &["oom 1000"]);
    let pods = agent.json("/api/v1/pods").expect("pods");
    let classes: Vec<_> = pods["items"].as_array().expect("a list").iter().collect();
    let class = |name: &str| {
        let of_set = |pod: &&&serde_json::Value| {
            pod["metadata"]["name"]
                .as_str()
                .is_some_and(|own| own.starts_with(name))
        };
        classes.iter().find(of_set).expect("the pod")["status"]["qosClass"].clone()
    };
    assert_eq!(class("guaranteed"), "Guaranteed");
    assert_eq!(class("burstable"), "Burstable");
    assert_eq!(class("effort"), "BestEffort");
}
