//! A machine without a configuration of CNI: pods on the pod network wait.

use crate::image::Image;
use crate::install;
use crate::machine::Machine;
use crate::package::Package;
use crate::report::Report;

/// On the pod network.
const SET: &str = "apiVersion: apps/v1
kind: DaemonSet
metadata: {name: full}
spec:
  selector: {matchLabels: {app: full}}
  template:
    metadata: {labels: {app: full}}
    spec:
      containers:
      - name: main
        image: docker.io/library/busybox:latest
        imagePullPolicy: IfNotPresent
        command: [sleep, \"1000000\"]
";

/// Runs the topic's steps, as far as they succeed.
pub fn run(report: &mut Report, suite: &str, image: &Image, _: bool) {
    let package = Package::built();
    let name = |what: &str| format!("{suite}, network: {what}");
    let boot = || Machine::boot(image, &format!("{suite}-network"));
    if let Some(machine) = report.time(&name("boots"), boot) {
        report.time(&name("without CNI a pod waits, and has no sandbox"), || {
            waits(&machine, &package);
        });
    }
}

fn waits(machine: &Machine, package: &Package) {
    // The runtime is to have seen none.
    machine.sh("systemctl stop containerd && mv /etc/cni/net.d/10-pods.conflist /root/ && systemctl start containerd");
    install::install_package(machine, package);
    machine.put("/etc/setlet/manifests/full.yaml", SET.as_bytes());
    machine.wait_for(
        "status tells of the network",
        "setlet get pods -o json | grep -i 'network not ready'",
    );
    // Where sandboxes pile up, there is one after some rounds.
    for _ in 0..5 {
        let sandboxes = machine.sh(
            "sleep 2; ctr -n k8s.io containers ls -q | wc -l; ls /run/netns 2>/dev/null | wc -l",
        );
        assert_eq!(sandboxes, "0\n0\n");
    }
}
