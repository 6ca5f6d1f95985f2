//! The main job: a manifest appears, its pod runs, crashes, changes and goes.

use std::sync::Arc;
use std::time::Duration;

use crate::harness::agent::SOON;
use crate::harness::{Agent, Containerd};
use crate::image::Image;
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together("lifecycle::starts_and_removes", starts_and_removes);
    suite.together("lifecycle::identity_is_kubelets", identity_is_kubelets);
    suite.together(
        "lifecycle::an_edit_replaces_the_pod",
        an_edit_replaces_the_pod,
    );
    suite.together(
        "lifecycle::the_same_in_other_words_rolls_nothing",
        other_words_roll_nothing,
    );
    suite.together(
        "lifecycle::a_bad_image_leaves_the_old_pod",
        a_bad_image_leaves_the_old_pod,
    );
    suite.together(
        "lifecycle::the_grace_period_is_kept",
        the_grace_period_is_kept,
    );
    suite.together("lifecycle::host_namespaces", host_namespaces);
    suite.together("lifecycle::a_label_lets_it_run", a_label_lets_it_run);
}

fn starts_and_removes(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "starts");
    agent.put("a.yaml", &sleeper("alpha").yaml());
    let running = agent.wait_running("alpha", 1);
    let name = running[0].pod().strip_prefix("alpha-").expect("SET-xxxxx");
    assert_eq!(name.len(), 5, "{name}");
    let link = agent.dir().join("log/containers").join(format!(
        "{}_default_main-{}.log",
        running[0].pod(),
        running[0].id
    ));
    agent.wait_for(SOON, "the link leads to the log", || {
        let log = std::fs::read_to_string(&link).map_err(|error| error.to_string())?;
        if log.contains(" stdout F up\n") {
            Ok(())
        } else {
            Err(log)
        }
    });

    agent.remove("a.yaml");
    agent.wait_empty();
    agent.wait_for(SOON, "nothing is left on the host", || {
        let left: Vec<_> = ["log/pods", "log/containers", "state/pods", "state/records"]
            .iter()
            .flat_map(|dir| std::fs::read_dir(agent.dir().join(dir)))
            .flat_map(|entries| entries.flatten())
            .map(|entry| entry.path())
            .collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    });
}

fn identity_is_kubelets(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "identity");
    agent.put("a.yaml", &sleeper("ident").yaml());
    let running = agent.wait_running("ident", 1).remove(0);
    assert_eq!(running.label("io.kubernetes.pod.namespace"), "default");
    assert_eq!(running.label("io.kubernetes.container.name"), "main");
    assert_eq!(running.label("setlet.dev/node"), "identity");
    let uid = running.label("io.kubernetes.pod.uid");
    assert_eq!(
        (uid.len(), uid.as_bytes()[14]),
        (36, b'4'),
        "a random UUID: {uid}"
    );

    let pods = agent
        .json("/api/v1/namespaces/default/pods")
        .expect("the pods");
    let pod = &pods["items"][0];
    assert_eq!(pod["metadata"]["uid"], uid);
    assert_eq!(pod["metadata"]["ownerReferences"][0]["kind"], "DaemonSet");
    assert!(!pod["metadata"]["labels"]["controller-revision-hash"].is_null());
    agent.wait_for(SOON, "its status says it runs", || {
        let status = &agent.json("/api/v1/namespaces/default/pods")?["items"][0]["status"];
        let wanted = format!("containerd://{}", running.id);
        if status["phase"] == "Running" && status["containerStatuses"][0]["containerID"] == wanted {
            Ok(())
        } else {
            Err(status.to_string())
        }
    });
}

fn an_edit_replaces_the_pod(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "edit");
    let set = sleeper("edited");
    agent.put("a.yaml", &set.yaml());
    let old = agent.wait_running("edited", 1).remove(0);
    agent.put(
        "a.yaml",
        &Set {
            container: &["env: [{name: A, value: b}]"],
            ..set
        }
        .yaml(),
    );
    agent.wait_for(SOON, "only a new pod runs", || {
        let running = agent.running_of("edited");
        match running.as_slice() {
            [new] if new.pod() != old.pod() => Ok(()),
            _ => Err(format!("{running:?}")),
        }
    });
    agent.wait_for(SOON, "one pod is left", || {
        let sandboxes = agent
            .containers()
            .iter()
            .filter(|one| one.is_sandbox())
            .count();
        if sandboxes == 1 {
            Ok(())
        } else {
            Err(format!("{sandboxes} sandboxes"))
        }
    });
}

fn other_words_roll_nothing(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "words");
    let set = sleeper("words");
    agent.put(
        "a.yaml",
        &Set {
            container: &["resources: {limits: {cpu: '0.5'}}"],
            ..set.clone()
        }
        .yaml(),
    );
    let before = agent.wait_running("words", 1);
    let spelled = Set {
        container: &[
            "resources: {limits: {cpu: 500m}}",
            "terminationMessagePolicy: File",
        ],
        annotations: &["note: another"],
        ..set
    };
    agent.put("a.yaml", &spelled.yaml());
    agent.wait_for(SOON, "the new annotation is seen", || {
        let set = agent.json("/apis/apps/v1/namespaces/default/daemonsets/words")?;
        if set["metadata"]["annotations"]["note"] == "another" {
            Ok(())
        } else {
            Err(set.to_string())
        }
    });
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(agent.running_of("words"), before);
}

fn a_bad_image_leaves_the_old_pod(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "badimage");
    let set = sleeper("staged");
    agent.put("a.yaml", &set.yaml());
    let before = agent.wait_running("staged", 1);
    agent.put(
        "a.yaml",
        &Set {
            image: "quay.io/nobody/nothing:1",
            ..set.clone()
        }
        .yaml(),
    );
    agent.wait_for(SOON, "explain names the image", || {
        let explained = agent.try_setlet(&["explain", "staged"]).stdout;
        let named =
            explained.contains("quay.io/nobody/nothing:1") && explained.contains("ImagePull");
        if named { Ok(()) } else { Err(explained) }
    });
    assert_eq!(agent.running_of("staged"), before);

    // With the image there, the switch follows at the pull's next try.
    containerd.import(&Image::named("quay.io/nobody/nothing:1").label("trial", "staged"));
    agent.wait_for(SOON, "the new pod runs", || {
        let running = agent.running_of("staged");
        if running.len() == 1 && running != before {
            Ok(())
        } else {
            Err(format!("{running:?}"))
        }
    });
}

fn the_grace_period_is_kept(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "grace");
    let script =
        "trap 'echo asked; sleep 2; echo done; exit 0' TERM; echo up; while :; do sleep 0.1; done";
    agent.put(
        "a.yaml",
        &Set {
            script,
            ..sleeper("graceful")
        }
        .yaml(),
    );
    let running = agent.wait_running("graceful", 1).remove(0);
    agent.wait_for(SOON, "it is up", || {
        let log = agent.container_log(&running);
        if log.contains("up") { Ok(()) } else { Err(log) }
    });
    agent.remove("a.yaml");
    let log = agent.wait_for(SOON, "it is asked to end", || {
        let log = agent.container_log(&running);
        if log.contains("asked") {
            Ok(log)
        } else {
            Err(log)
        }
    });
    assert!(!log.contains("done"), "it still has its time: {log}");
    agent.wait_for(SOON, "it ended by itself", || {
        let log = agent.container_log(&running);
        if log.contains("done") {
            Ok(())
        } else {
            Err(log)
        }
    });
    agent.wait_empty();
}

fn host_namespaces(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "namespaces");
    let script = "readlink /proc/self/ns/net; readlink /proc/self/ns/pid; echo cap $(grep CapEff /proc/self/status); \
                  hostname; trap 'exit 0' TERM; while :; do sleep 1; done";
    let host = Set {
        script,
        pod: &["hostNetwork: true", "hostPID: true", "hostIPC: true"],
        container: &["securityContext: {privileged: true}"],
        ..sleeper("inhost")
    };
    agent.put("host.yaml", &host.yaml());
    agent.put(
        "pod.yaml",
        &Set {
            script,
            ..sleeper("inpod")
        }
        .yaml(),
    );
    let link = |path: &str| {
        std::fs::read_link(path)
            .expect("a namespace")
            .display()
            .to_string()
    };
    let (net, pid) = (link("/proc/self/ns/net"), link("/proc/self/ns/pid"));
    for (set, inside) in [("inhost", true), ("inpod", false)] {
        let running = agent.wait_running(set, 1).remove(0);
        let log = agent.wait_for(SOON, "it has printed its namespaces", || {
            let log = agent.container_log(&running);
            if log.lines().count() >= 4 {
                Ok(log)
            } else {
                Err(log)
            }
        });
        assert_eq!(log.contains(&net), inside, "{set}: {log}");
        assert_eq!(log.contains(&pid), inside, "{set}: {log}");
    }
}

fn a_label_lets_it_run(containerd: &Arc<Containerd>) {
    let mut agent = Agent::started(containerd, "label");
    let set = Set {
        pod: &["nodeSelector: {disk: ssd}"],
        ..sleeper("picky")
    };
    agent.put("a.yaml", &set.yaml());
    agent.ready();
    agent.wait_for(SOON, "explain names the label", || {
        let explained = agent.try_setlet(&["explain", "picky"]).stdout;
        if explained.contains("the node has no label disk") {
            Ok(())
        } else {
            Err(explained)
        }
    });
    assert!(agent.containers().is_empty());

    agent.config["nodeLabels"] = serde_json::json!({"disk": "ssd"});
    agent.reload();
    let running = agent.wait_running("picky", 1);
    agent.config["nodeTaints"] = serde_json::json!([{"key": "later", "effect": "NoSchedule"}]);
    agent.write_config();
    agent.wait_for(SOON, "the taint is seen without a signal", || {
        let explained = agent.try_setlet(&["explain", "picky"]).stdout;
        if explained.contains("taint later:NoSchedule") {
            Ok(())
        } else {
            Err(explained)
        }
    });
    assert_eq!(
        agent.running_of("picky"),
        running,
        "NoSchedule keeps what runs"
    );

    agent.config["nodeLabels"] = serde_json::json!({});
    agent.write_config();
    agent.wait_empty();
}
