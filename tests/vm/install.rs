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

/// Runs the topic's steps, as far as they succeed.
pub fn run(report: &mut Report, suite: &str, image: &Image) {
    let name = |what: &str| format!("{suite}: {what}");
    let package = Package::built();
    let Some(mut machine) = report.time(&name("boots"), || Machine::boot(image, suite)) else {
        return;
    };
    let machine = &mut machine;
    type Body = fn(&mut Machine, &Package);
    let steps: [(&str, Body); 8] = [
        (
            "installed from the deb with nothing but containerd, and ready",
            install,
        ),
        ("a set runs, in the pod's slice of its class", one_set),
        (
            "the agent restarts and is killed; containers stay",
            restarts,
        ),
        ("reload takes a label over", reload),
        ("a reboot without a network brings the set back", reboot),
        ("an upgrade and a downgrade leave containers alone", upgrade),
        ("removal leaves pods and says so", remove),
        ("purge leaves nothing of the package's", purge),
    ];
    for (what, step) in steps {
        if report
            .time(&name(what), || step(machine, &package))
            .is_none()
        {
            return;
        }
    }
}

fn install(machine: &mut Machine, package: &Package) {
    machine.sh("for it in /var/lib/setlet-vm/*.tar; do ctr -n k8s.io images import $it; done");
    machine.put("/root/setlet.deb", &package.bytes);
    let said = machine.sh("dpkg -i /root/setlet.deb");
    assert!(said.contains("/etc/setlet/manifests"), "{said}");
    machine.wait_for("the unit is active", "systemctl is-active setlet");
    let status = machine.wait_for("the node is ready", "setlet status");
    assert!(status.contains("  ready  "), "{status}");
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

fn reload(machine: &mut Machine, _: &Package) {
    machine.put(
        "/etc/setlet/config.d/label.yaml",
        b"nodeLabels: {vm: \"yes\"}\n",
    );
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
    let before = wait_running(machine, 1);
    let later = package.later();
    machine.put("/root/later.deb", &later.bytes);
    machine.sh("dpkg -i /root/later.deb");
    machine.wait_for(
        "status answers",
        "systemctl is-active setlet && setlet status",
    );
    assert_eq!(wait_running(machine, 1), before);
    machine.sh("dpkg -i --force-downgrade /root/setlet.deb");
    machine.wait_for(
        "status answers",
        "systemctl is-active setlet && setlet status",
    );
    assert_eq!(wait_running(machine, 1), before);
    // What an administrator stopped stays so.
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

/// The package's own go; what an administrator wrote, pods and state stay.
fn purge(machine: &mut Machine, _: &Package) {
    let before = wait_running(machine, 1);
    let said = machine.sh("dpkg -P setlet");
    let left = machine.sh(
        "find / -xdev -path '*setlet*' ! -path '*setlet-vm*' ! -path '/var/l*' ! -path '/tmp/*' \
            ! -path '/root/*' ! -path '/run/containerd/*' ! -path '/sys/*' ! -path '/proc/*' | sort; \
        systemctl list-unit-files 'setlet.service' 'setlet-containerd.service' --no-legend || true",
    );
    let own = "/etc/setlet
/etc/setlet/config.d
/etc/setlet/config.d/label.yaml
/etc/setlet/manifests
/etc/setlet/manifests/on-host.yaml
";
    assert_eq!(left, own, "{said}");
    assert_eq!(wait_running(machine, 1), before);
    machine.sh("test -d /var/lib/setlet/pods");
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
