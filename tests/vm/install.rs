//! A machine from its first installation to the purge.

use crate::image::Image;
use crate::machine::Machine;
use crate::package::Package;
use crate::report::Report;

/// A set on the host network that sleeps.
const ON_HOST: &str = "apiVersion: apps/v1
kind: DaemonSet
metadata: {name: on-host}
spec:
  selector: {matchLabels: {app: on-host}}
  template:
    metadata: {labels: {app: on-host}}
    spec:
      hostNetwork: true
      terminationGracePeriodSeconds: 5
      containers:
      - name: main
        image: docker.io/library/busybox:latest
        imagePullPolicy: IfNotPresent
        command: [sh, -c, \"trap 'exit 0' TERM; while :; do sleep 1; done\"]
        resources: {requests: {cpu: 50m}, limits: {memory: 32Mi}}
";

/// The ids of running containers of pods, sandboxes left out.
const RUNNING: &str = "ctr -n k8s.io tasks ls | awk '$3 == \"RUNNING\" {print $1}' | sort >/tmp/running
ctr -n k8s.io containers ls -q 'labels.\"io.cri-containerd.kind\"==container' | sort | comm -12 - /tmp/running";

/// What a step is, and whether it is part of the short run.
type Step = (&'static str, bool, fn(&mut Machine, &Package));

const STEPS: &[Step] = &[
    (
        "installed from the deb with nothing but containerd, and ready",
        true,
        install,
    ),
    ("a set runs, in the pod's slice of its class", true, one_set),
    (
        "the agent restarts and is killed; containers stay",
        false,
        restarts,
    ),
    ("reload takes a label over", false, reload),
    (
        "a reboot without a network brings the set back",
        true,
        reboot,
    ),
    ("an upgrade leaves containers alone", true, upgrade),
    ("so does a downgrade", false, downgrade),
    (
        "an upgrade does not start what an administrator stopped",
        false,
        stopped,
    ),
    ("removal leaves pods and says so", false, remove),
    (
        "purge ends pods and leaves what an administrator wrote",
        true,
        purge,
    ),
];

/// Runs the topic's steps, as far as they succeed.
pub fn run(report: &mut Report, suite: &str, image: &Image, short: bool) {
    let name = |what: &str| format!("{suite}: {what}");
    let package = Package::built();
    let Some(mut machine) = report.time(&name("boots"), || Machine::boot(image, suite)) else {
        return;
    };
    for (what, _, step) in STEPS.iter().filter(|step| step.1 || !short) {
        let done = report.time(&name(what), || step(&mut machine, &package));
        if done.is_none() {
            return;
        }
    }
}

fn install(machine: &mut Machine, package: &Package) {
    install_package(machine, package);
    let status = machine.wait_for("the node is ready", "setlet status");
    assert!(status.contains("  ready  "), "{status}");
}

/// As an administrator does; returns when the agent answers.
pub fn install_package(machine: &Machine, package: &Package) {
    machine.sh("for it in /var/lib/setlet-vm/*.tar; do ctr -n k8s.io images import $it; done");
    machine.put("/root/setlet.deb", &package.bytes);
    let said = machine.sh("dpkg -i /root/setlet.deb");
    assert!(said.contains("/etc/setlet/manifests"), "{said}");
    machine.wait_for("the unit is active", "systemctl is-active setlet");
    machine.wait_for("status answers", "setlet status");
}

fn one_set(machine: &mut Machine, _: &Package) {
    machine.put("/etc/setlet/manifests/on-host.yaml", ON_HOST.as_bytes());
    wait_running(machine, 1);
    let slices = machine.sh(
        "systemd-cgls --no-pager -l -u kubepods.slice 2>/dev/null || systemd-cgls --no-pager -l",
    );
    assert!(slices.contains("burstable"), "{slices}");
}

fn restarts(machine: &mut Machine, _: &Package) {
    let before = wait_running(machine, 1);
    machine.sh("systemctl restart setlet");
    machine.wait_for("status answers", "setlet status");
    assert_eq!(wait_running(machine, 1), before);
    machine.sh("kill -9 $(systemctl show -P MainPID setlet)");
    machine.wait_for(
        "status answers",
        "sleep 1; systemctl is-active setlet && setlet status",
    );
    assert_eq!(wait_running(machine, 1), before);
    machine.sh("kill -9 $(systemctl show -P MainPID containerd)");
    machine.wait_for("the set runs", "sleep 1; setlet get pods | grep Running");
    assert_eq!(wait_running(machine, 1), before);
}

/// What an administrator has configured.
fn label(machine: &Machine) {
    let path = "/etc/setlet/config.d/label.yaml";
    machine.put(path, b"nodeLabels: {vm: \"yes\"}\n");
}

fn reload(machine: &mut Machine, _: &Package) {
    label(machine);
    machine.sh("systemctl reload setlet");
    machine.wait_for(
        "the label is there",
        "setlet get nodes -o json | grep '\"vm\": *\"yes\"'",
    );
}

fn reboot(machine: &mut Machine, _: &Package) {
    machine.reboot();
    machine.wait_for("the unit is active", "systemctl is-active setlet");
    wait_running(machine, 1);
}

fn upgrade(machine: &mut Machine, package: &Package) {
    machine.put("/root/later.deb", &package.later().bytes);
    installs(machine, "dpkg -i /root/later.deb");
}

fn downgrade(machine: &mut Machine, _: &Package) {
    installs(machine, "dpkg -i --force-downgrade /root/setlet.deb");
}

fn installs(machine: &mut Machine, command: &str) {
    let before = wait_running(machine, 1);
    let agent = machine.sh("systemctl show -P MainPID setlet");
    machine.sh(command);
    machine.wait_for(
        "status answers",
        "systemctl is-active setlet && setlet status",
    );
    assert_ne!(machine.sh("systemctl show -P MainPID setlet"), agent);
    assert_eq!(wait_running(machine, 1), before);
}

fn stopped(machine: &mut Machine, _: &Package) {
    let before = wait_running(machine, 1);
    machine.sh("systemctl stop setlet && dpkg -i /root/later.deb");
    let state = machine.try_sh("systemctl is-active setlet");
    assert_eq!(state.output.trim(), "inactive");
    machine.sh("systemctl start setlet");
    assert_eq!(wait_running(machine, 1), before);
}

fn remove(machine: &mut Machine, _: &Package) {
    let before = wait_running(machine, 1);
    let said = machine.sh("dpkg -r setlet");
    assert!(said.contains("pods run on"), "{said}");
    assert_eq!(wait_running(machine, 1), before);
}

/// What is the package's or the agent's goes, pods too; what an administrator wrote stays.
fn purge(machine: &mut Machine, _: &Package) {
    label(machine);
    let said = machine.sh("dpkg -P setlet");
    let left = machine.sh(
        "find / /run -xdev -path '*setlet*' ! -path '*setlet-vm*' ! -path '/var/lib/dpkg/*' \
            ! -path '/tmp/*' ! -path '/root/*' ! -path '/run/systemd/*' | sort; \
        ls -A /var/log/pods 2>/dev/null; \
        systemctl list-unit-files 'setlet.service' 'setlet-containerd.service' --no-legend || true",
    );
    let own = "/etc/setlet
/etc/setlet/config.d
/etc/setlet/config.d/label.yaml
/etc/setlet/manifests
/etc/setlet/manifests/on-host.yaml
";
    assert_eq!(left, own, "{said}");
    wait_running(machine, 0);
}

/// Waits until so many containers run; returns their ids.
fn wait_running(machine: &Machine, count: usize) -> String {
    machine.wait_for(
        &format!("{count} containers run"),
        &format!(
            "ids=$({RUNNING}); echo \"$ids\"; test \"$(echo \"$ids\" | grep -c .)\" = {count}"
        ),
    )
}
