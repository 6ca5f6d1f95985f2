//! Going back by itself: bad revisions, the objects a revision was good with, and configuration
//! that rolls out like a template.

use std::sync::Arc;
use std::time::Duration;

use crate::harness::agent::SOON;
use crate::harness::{Agent, Containerd};
use crate::rollout::{TWO, version, wait_replaced, wait_said};
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together(
        "rollback::a_crashing_revision_goes_back",
        a_crashing_revision_goes_back,
    );
    suite.together(
        "rollback::an_unready_revision_goes_back_after_the_deadline",
        an_unready_revision_goes_back,
    );
    suite.together(
        "rollback::without_a_good_revision_it_says_so",
        without_a_good_revision,
    );
    suite.together(
        "rollback::configuration_is_a_revision",
        configuration_is_a_revision,
    );
    suite.together(
        "rollback::objects_come_back_with_the_revision",
        objects_come_back,
    );
}

const CRASHES: &str = "exit 3";
const AUTO: &[&str] = &[
    "setlet.dev/rollback: auto",
    "setlet.dev/progress-deadline: 6s",
    "setlet.dev/backoff: 'initial=200ms,max=400ms,reset=10m'",
];
const STEADY: &[&str] = &["minReadySeconds: 1"];

fn careful(name: &str) -> Set<'_> {
    Set {
        annotations: AUTO,
        spec: STEADY,
        ..sleeper(name)
    }
}

/// Waits until a set's present revision is called good.
fn wait_good(agent: &Agent, set: &str) {
    agent.wait_for(SOON, "the revision is good", || {
        let history = agent.try_setlet(&["rollout", "history", set]).stdout;
        if history.contains("running, good") {
            Ok(())
        } else {
            Err(history)
        }
    });
}

fn hash(agent: &Agent, set: &str) -> String {
    let running = agent.wait_running(set, 1);
    running[0].label("controller-revision-hash").to_owned()
}

fn a_crashing_revision_goes_back(containerd: &Arc<Containerd>) {
    let mut agent = Agent::started(containerd, "goback");
    // Not even `minReadySeconds` are needed.
    let set = Set {
        spec: &[],
        ..careful("back")
    };
    agent.put("a.yaml", &set.yaml());
    let good = hash(&agent, "back");
    wait_good(&agent, "back");
    let crashing = Set {
        script: CRASHES,
        ..set.clone()
    };
    agent.put("a.yaml", &crashing.yaml());
    wait_said(&agent, "RolledBack");
    agent.wait_for(SOON, "the good revision runs again", || {
        let running = agent.running_of("back");
        match running.as_slice() {
            [one] if one.label("controller-revision-hash") == good => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let status = agent.try_setlet(&["rollout", "status", "back"]);
    assert_eq!(status.code, Some(1), "{status:?}");
    assert!(
        status.stdout.contains("bad: its containers restarted"),
        "{status:?}"
    );
    let events = agent.setlet(&["get", "events"]);
    for reason in ["RestartedTooOften", "RolledBack"] {
        assert!(events.contains(reason), "{reason}: {events}");
    }

    // It is remembered, and not tried again.
    agent.kill9();
    agent.start();
    agent.ready();
    wait_said(&agent, "RolledBack");
    std::thread::sleep(Duration::from_secs(2));
    let before = agent.wait_running("back", 1);
    assert_eq!(before[0].label("controller-revision-hash"), good);

    // Another manifest is.
    agent.put("a.yaml", &version(&set, TWO));
    wait_replaced(&agent, "back", &before);
    wait_good(&agent, "back");
    let status = agent.setlet(&["rollout", "status", "back", "--timeout", "10s"]);
    assert!(status.contains("successfully rolled out"), "{status}");
}

fn an_unready_revision_goes_back(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "unready");
    let set = careful("unready");
    agent.put("a.yaml", &set.yaml());
    let good = hash(&agent, "unready");
    wait_good(&agent, "unready");
    let never = ["readinessProbe: {exec: {command: ['false']}, periodSeconds: 1}"];
    agent.put("a.yaml", &version(&set, &never));
    wait_said(&agent, "it was not available within 6s");
    agent.wait_for(SOON, "the good revision runs again", || {
        let running = agent.running_of("unready");
        match running.as_slice() {
            [one] if one.label("controller-revision-hash") == good => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

fn without_a_good_revision(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "nogood");
    let set = Set {
        script: CRASHES,
        ..careful("nogood")
    };
    agent.put("a.yaml", &set.yaml());
    wait_said(&agent, "NoGoodRevision");
    let pods = || {
        let pods = agent.json("/api/v1/namespaces/default/pods").expect("pods");
        pods["items"].as_array().map(Vec::len)
    };
    assert_eq!(pods(), Some(1), "it goes on with what there is");
}

fn config(value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: rules}}\ndata: {{mode: '{value}'}}\n"
    )
}

/// Ends at once while the configuration says so; else writes down what it says.
const OBEYS: &str = "cat /rules/mode; echo; grep -q bad /rules/mode && exit 4; \
                     trap 'exit 0' TERM; while :; do sleep 1; done";
const MOUNTS: &[&str] = &["volumes: [{name: rules, configMap: {name: rules}}]"];
const MOUNT: &[&str] = &["volumeMounts: [{name: rules, mountPath: /rules}]"];

fn configuration_is_a_revision(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "config");
    let set = Set {
        annotations: &[
            AUTO[0],
            AUTO[1],
            AUTO[2],
            "setlet.dev/config-rollout: 'true'",
        ],
        script: OBEYS,
        pod: MOUNTS,
        container: MOUNT,
        ..careful("rules")
    };
    agent.put("rules.yaml", &config("first"));
    agent.put("a.yaml", &set.yaml());
    let first = agent.wait_running("rules", 1);
    wait_good(&agent, "rules");
    agent.put("rules.yaml", &config("second"));
    let second = wait_replaced(&agent, "rules", &first);
    wait_good(&agent, "rules");
    assert!(agent.container_log(&second[0]).contains("second"));

    agent.put("rules.yaml", &config("bad"));
    wait_said(&agent, "RolledBack");
    agent.wait_for(SOON, "the second content runs again", || {
        match agent.running_of("rules").as_slice() {
            [one] if agent.container_log(one).contains("second") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    std::thread::sleep(Duration::from_secs(1));
    agent.wait_running("rules", 1);
    agent.put("rules.yaml", &config("third"));
    agent.wait_for(SOON, "the third content runs", || {
        match agent.running_of("rules").as_slice() {
            [one] if agent.container_log(one).contains("third") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

fn objects_come_back(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "objects");
    let set = Set {
        script: OBEYS,
        pod: MOUNTS,
        container: MOUNT,
        ..careful("objects")
    };
    agent.put("rules.yaml", &config("first"));
    agent.put("a.yaml", &set.yaml());
    let first = agent.wait_running("objects", 1);
    wait_good(&agent, "objects");
    // Template and object change together, as a deployment would write them.
    agent.put("rules.yaml", &config("bad"));
    let container = [MOUNT[0], TWO[0]];
    agent.put("a.yaml", &version(&set, &container));
    wait_said(&agent, "RolledBack");
    agent.wait_for(SOON, "the first content runs again", || {
        match agent.running_of("objects").as_slice() {
            [one] if one.id != first[0].id && agent.container_log(one).contains("first") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}
