//! Bad input beside good: one clear line for each error, and nothing that runs stops.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;

use crate::harness::agent::{SETLET, SOON};
use crate::harness::{Agent, Containerd};
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together(
        "bad_input::a_bad_file_beside_good_ones",
        a_bad_file_beside_good_ones,
    );
    suite.together(
        "bad_input::a_broken_edit_keeps_what_runs",
        a_broken_edit_keeps_what_runs,
    );
    suite.together(
        "bad_input::duplicates_and_unread_files",
        duplicates_and_unread_files,
    );
    suite.together(
        "bad_input::a_manifest_others_can_write",
        a_manifest_others_can_write,
    );
    suite.together("bad_input::a_missing_config_map", a_missing_config_map);
    suite.together("bad_input::check_and_usage", check_and_usage);
}

fn status_with(agent: &Agent, wanted: &[&str]) -> String {
    agent.wait_for(SOON, &format!("status has {wanted:?}"), || {
        let status = agent.try_setlet(&["status"]).stdout;
        if wanted.iter().all(|part| status.contains(part)) {
            Ok(status)
        } else {
            Err(status)
        }
    })
}

fn a_bad_file_beside_good_ones(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "beside");
    let typo = sleeper("typo")
        .yaml()
        .replace("imagePullPolicy", "imagePullPolice");
    let two = format!(
        "{}---\nkind: Deployment\napiVersion: apps/v1\nmetadata: {{name: d}}\n",
        sleeper("good").yaml()
    );
    agent.put("typo.yaml", &typo);
    agent.put("two.yaml", &two);
    agent.wait_running("good", 1);
    let line = typo
        .lines()
        .position(|line| line.contains("Police"))
        .expect("the line")
        + 1;
    let at = format!("typo.yaml:{line}:");
    let status = status_with(&agent, &[&at, "imagePullPolice", "two.yaml:", "Deployment"]);
    let lines: Vec<_> = status
        .lines()
        .filter(|line| line.contains("imagePullPolice"))
        .collect();
    assert_eq!(lines.len(), 1, "one line for one error: {status}");
    assert!(agent.running_of("typo").is_empty());
}

fn a_broken_edit_keeps_what_runs(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "brokenedit");
    let set = sleeper("solid");
    agent.put("a.yaml", &set.yaml());
    let before = agent.wait_running("solid", 1);
    agent.put("a.yaml", &set.yaml().replace("image:", "imag:"));
    status_with(&agent, &["file changed, refused", "imag"]);
    assert_eq!(agent.running_of("solid"), before);
    agent.put("a.yaml", "{{{{");
    status_with(&agent, &["file changed, refused"]);
    assert_eq!(agent.running_of("solid"), before);
    agent.put("a.yaml", &set.yaml());
    agent.wait_for(SOON, "status is clean again", || {
        let status = agent.try_setlet(&["status"]).stdout;
        if status.contains("refused") {
            Err(status)
        } else {
            Ok(())
        }
    });
    assert_eq!(agent.running_of("solid"), before);
}

fn duplicates_and_unread_files(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "twice");
    agent.put("a.yaml", &sleeper("twin").yaml());
    let first = agent.wait_running("twin", 1);
    agent.put(
        "b.yaml",
        &Set {
            script: "sleep 5",
            ..sleeper("twin")
        }
        .yaml(),
    );
    agent.put("notes.txt", "nothing");
    agent.put("a.yaml.bak", &sleeper("backup").yaml());
    status_with(
        &agent,
        &["b.yaml", "duplicate", "a.yaml", "notes.txt", "a.yaml.bak"],
    );
    assert_eq!(agent.running_of("twin"), first);
    assert!(agent.running_of("backup").is_empty());
}

fn a_manifest_others_can_write(containerd: &Arc<Containerd>) {
    let agent = Agent::new(containerd, "writable");
    agent.put("a.yaml", &sleeper("open").yaml());
    let path = agent.manifest("a.yaml");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).expect("chmod");
    let mut agent = agent;
    agent.start();
    status_with(&agent, &["a.yaml", "0666"]);
    assert!(agent.running_of("open").is_empty());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    agent.wait_running("open", 1);
}

fn a_missing_config_map(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "configmap");
    let set = Set {
        script: "cat /etc/conf/key; echo; echo $KEY; trap 'exit 0' TERM; while :; do sleep 1; done",
        pod: &["volumes: [{name: conf, configMap: {name: settings}}]"],
        container: &[
            "volumeMounts: [{name: conf, mountPath: /etc/conf}]",
            "env: [{name: KEY, valueFrom: {configMapKeyRef: {name: settings, key: key}}}]",
        ],
        ..sleeper("needy")
    };
    agent.put("a.yaml", &set.yaml());
    agent.wait_for(SOON, "explain names the ConfigMap", || {
        let explained = agent.try_setlet(&["explain", "needy"]).stdout;
        if explained.contains("\"settings\" not found") {
            Ok(())
        } else {
            Err(explained)
        }
    });
    agent.put(
        "b.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {key: value-one}\n",
    );
    let running = agent.wait_running("needy", 1).remove(0);
    agent.wait_for(SOON, "both ways give its value", || {
        let log = agent.container_log(&running);
        if log.matches("value-one").count() == 2 {
            Ok(())
        } else {
            Err(log)
        }
    });
}

fn check_and_usage(containerd: &Arc<Containerd>) {
    let agent = Agent::new(containerd, "check");
    agent.put("good.yaml", &sleeper("good").yaml());
    agent.put(
        "bad.yaml",
        &sleeper("bad").yaml().replace("selector:", "selectr:"),
    );
    let (good, bad) = (agent.manifest("good.yaml"), agent.manifest("bad.yaml"));
    let (good, bad) = (good.display().to_string(), bad.display().to_string());
    assert_eq!(agent.try_setlet(&["check", &good]).code, Some(0));
    let answer = agent.try_setlet(&["check", &good, &bad]);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    let said = format!("{}{}", answer.stdout, answer.stderr);
    assert!(
        said.contains(&format!("{bad}:6:")) && said.contains("spec.selectr"),
        "{said}"
    );
    // That nobody reads the errors changes nothing of the answer, and a key reaches no terminal as it is.
    let (reader, unread) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut unheard = Command::new(SETLET);
    unheard.args(["check", &bad]).stderr(unread);
    let status = unheard.status().expect("setlet check");
    assert_eq!(status.code(), Some(1));
    agent.put(
        "bad.yaml",
        &sleeper("bad")
            .yaml()
            .replace("selector:", "\"s\\e[7m\\nel\":"),
    );
    let answer = agent.try_setlet(&["check", &bad]);
    assert!(answer.stderr.contains("spec.s^[[7m\\nel"), "{answer:?}");
    let answer = agent.try_setlet(&["status"]);
    assert_eq!(answer.code, Some(1), "no agent runs: {answer:?}");
    assert_eq!(answer.stderr.trim_end().lines().count(), 1, "{answer:?}");
    assert_eq!(agent.try_setlet(&["stats"]).code, Some(2));
}
