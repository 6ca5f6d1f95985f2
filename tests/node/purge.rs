//! Trials of `setlet purge`: what of the agent is in containerd and on the disk goes, what others have
//! there stays.

use std::process::Command;
use std::sync::Arc;

use serde_json::json;

use crate::harness::agent::{Answer, SOON};
use crate::harness::containerd::run;
use crate::harness::foreign::{self, Recipe};
use crate::harness::{Agent, Container, Containerd};
use crate::image::Image;
use crate::images::manifest;
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together(
        "purge::what_is_the_agents_goes_and_nothing_else",
        what_is_the_agents_goes_and_nothing_else,
    );
    suite.together(
        "purge::pods_end_in_order_and_with_their_grace",
        pods_end_in_order_and_with_their_grace,
    );
    suite.together(
        "purge::pods_of_an_agent_of_the_same_name_stay",
        pods_of_an_agent_of_the_same_name_stay,
    );
    suite.together(
        "purge::without_a_runtime_nothing_is_removed",
        without_a_runtime_nothing_is_removed,
    );
    suite.together(
        "purge::a_mounted_state_directory_stays_mounted",
        a_mounted_state_directory_stays_mounted,
    );
}

fn purge(agent: &Agent, yes: bool) -> Answer {
    agent.write_config();
    let config = agent.config_file();
    let mut args = vec!["purge", "--config", config.to_str().expect("text")];
    args.extend(yes.then_some("--yes"));
    agent.try_setlet(&args)
}

fn purged(agent: &Agent) -> String {
    let answer = purge(agent, true);
    assert_eq!(answer.code, Some(0), "{answer:#?}");
    answer.stdout
}

fn image_names(containerd: &Containerd) -> Vec<String> {
    let listed = containerd.ctr(&["images", "ls", "-q"]);
    listed.lines().map(str::to_owned).collect()
}

/// The leases of addresses: each begins with a sandbox's id.
fn leases_of(containerd: &Containerd) -> Vec<String> {
    let files = run(Command::new("find")
        .arg(containerd.base().join("cni/leases"))
        .args(["-type", "f"]));
    // One may be given back meanwhile.
    let read = |path: &str| std::fs::read_to_string(path).ok();
    files.lines().filter_map(read).collect()
}

/// An image of its own.
fn image(name: &str) -> Image {
    Image::named(name).label("name", name)
}

fn what_is_the_agents_goes_and_nothing_else(containerd: &Arc<Containerd>) {
    let node = "purge-all";
    let (pulled, used) = ("purge.test/pulled:v1", "purge.test/used:v1");
    let (foreign_image, imported) = ("purge.test/foreign:v1", "purge.test/imported:v1");
    for name in [pulled, used, foreign_image] {
        containerd.publish(&image(name));
    }
    foreign::pull(containerd, foreign_image).expect("pulled");
    let mut agent = Agent::new(containerd, node);
    let images = agent.dir().join("images");
    std::fs::create_dir_all(&images).expect("the images directory");
    let archive = image(imported).archive(&agent.dir().join("tmp"));
    std::fs::rename(archive, images.join("imported.tar")).expect("an archive");
    agent.start();
    agent.ready();
    let sets = [
        ("pulled", pulled),
        ("used", used),
        ("foreign", foreign_image),
        ("imported", imported),
    ];
    for (set, image) in sets {
        agent.put(
            &format!("{set}.yaml"),
            &manifest(set, image, "IfNotPresent"),
        );
    }
    sets.iter()
        .for_each(|(set, _)| drop(agent.wait_running(set, 1)));
    agent.wait_for(SOON, "images are pinned", || {
        let listed = containerd.ctr(&["images", "ls"]);
        let pins = listed.matches("setlet.dev/pinned.purge-all").count();
        (pins >= sets.len()).then_some(()).ok_or(listed)
    });
    let recipe = Recipe {
        name: "purge-foreign",
        image: used,
        command: &["sh", "-c", "while :; do sleep 1; done"],
        labels: &[],
        port: None,
    };
    let stranger = foreign::run(containerd, &recipe);
    containerd.ctr(&[
        "leases",
        "create",
        "--id",
        "purge-left",
        "setlet.dev/node=purge-all",
    ]);
    containerd.ctr(&[
        "leases",
        "create",
        "--id",
        "purge-theirs",
        "setlet.dev/node=other",
    ]);

    let refused = purge(&agent, true);
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert!(
        refused.stderr.contains("systemctl stop setlet"),
        "{refused:#?}"
    );
    agent.term();
    let refused = purge(&agent, false);
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert!(refused.stderr.contains("give --yes"), "{refused:#?}");
    for word in [
        "pod default/pulled-",
        "image purge.test/pulled:v1",
        "image purge.test/imported:v1",
    ] {
        assert!(refused.stdout.contains(word), "{word}: {refused:#?}");
    }
    assert_eq!(agent.running_of("pulled").len(), 1, "nothing was touched");

    let sandboxes = agent.containers().into_iter();
    let sandboxes: Vec<_> = sandboxes
        .filter(Container::is_sandbox)
        .map(|found| found.id)
        .collect();
    let has_one = |id: &String| {
        leases_of(containerd)
            .iter()
            .any(|l| l.starts_with(id.as_str()))
    };
    assert!(sandboxes.iter().all(has_one), "each has an address");

    let said = purged(&agent);
    assert!(
        said.contains("image purge.test/used:v1 stays: a container uses it"),
        "{said}"
    );
    assert_eq!(
        agent.containers(),
        [],
        "no sandbox, container or task is left"
    );
    let names = image_names(containerd);
    for gone in ["purge.test/pulled", "purge.test/imported"] {
        assert!(
            !names.iter().any(|name| name.starts_with(gone)),
            "{gone}: {names:#?}"
        );
    }
    for stays in [used, foreign_image] {
        assert!(
            names.iter().any(|name| name == stays),
            "{stays}: {names:#?}"
        );
    }
    let listed = containerd.ctr(&["images", "ls"]);
    assert!(!listed.contains("setlet.dev/pinned.purge-all"), "{listed}");
    let leases = containerd.ctr(&["leases", "ls", "-q"]);
    assert!(
        !leases.contains("purge-left") && leases.contains("purge-theirs"),
        "{leases}"
    );
    for lease in leases_of(containerd) {
        let ours = sandboxes.iter().any(|id| lease.starts_with(id.as_str()));
        assert!(!ours, "an address is leased still: {lease}");
    }
    for gone in ["state", "run", "log/pods", "log/containers"] {
        assert!(!agent.dir().join(gone).exists(), "{gone}");
    }
    assert!(
        images.join("imported.tar").exists(),
        "who put it there takes it away"
    );
    let runs = containerd
        .containers()
        .into_iter()
        .find(|found| found.id == stranger.container);
    assert!(
        runs.is_some_and(|found| found.pid.is_some()),
        "the foreign container runs"
    );
    purged(&agent);
    foreign::remove(containerd, &stranger.sandbox);
    containerd.ctr(&["leases", "rm", "purge-theirs"]);
}

fn pods_end_in_order_and_with_their_grace(containerd: &Arc<Containerd>) {
    let mut agent = Agent::new(containerd, "purge-order");
    let shared = agent.dir().join("shared");
    std::fs::create_dir_all(&shared).expect("a directory");
    agent.start();
    agent.ready();
    let volume = format!(
        "volumes: [{{name: out, hostPath: {{path: {}}}}}]",
        shared.display()
    );
    for (name, after) in [("first", ""), ("second", "first")] {
        let script = format!(
            "trap 'sleep 1; echo {name} >>/out/ends; exit 0' TERM; while :; do sleep 1; done"
        );
        let annotation = format!("setlet.dev/after: \"{after}\"");
        let set = Set {
            script: &script,
            pod: &[&volume],
            container: &["volumeMounts: [{name: out, mountPath: /out}]"],
            annotations: &[&annotation],
            ..sleeper(name)
        };
        agent.put(&format!("{name}.yaml"), &set.yaml());
        agent.wait_running(name, 1);
    }
    agent.kill9();
    purged(&agent);
    let ends = std::fs::read_to_string(shared.join("ends")).expect("both had their time");
    assert_eq!(ends, "second\nfirst\n");
}

fn pods_of_an_agent_of_the_same_name_stay(containerd: &Arc<Containerd>) {
    let twin = Agent::started(containerd, "purge-twin");
    twin.ready();
    twin.put("web.yaml", &sleeper("web").yaml());
    let before = twin.wait_running("web", 1);
    let mut agent = Agent::new(containerd, "purge-twin-too");
    agent.config["nodeName"] = json!("purge-twin");
    let said = purged(&agent);
    assert!(
        said.contains("stays: another agent made it, and runs"),
        "{said}"
    );
    assert_eq!(twin.wait_running("web", 1), before);
}

fn without_a_runtime_nothing_is_removed(containerd: &Arc<Containerd>) {
    let mut agent = Agent::started(containerd, "purge-away");
    agent.ready();
    agent.put("web.yaml", &sleeper("web").yaml());
    agent.wait_running("web", 1);
    agent.term();
    let endpoint = agent.config["containerRuntimeEndpoint"].clone();
    agent.config["containerRuntimeEndpoint"] = json!("unix:///run/purge-away/none.sock");
    let refused = purge(&agent, true);
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    let why = "does not answer at unix:///run/purge-away/none.sock";
    assert!(refused.stderr.contains(why), "{refused:#?}");
    assert!(refused.stderr.contains("1 by its records"), "{refused:#?}");
    assert_eq!(agent.running_of("web").len(), 1);
    assert!(agent.dir().join("state/records").is_dir());
    agent.config["containerRuntimeEndpoint"] = endpoint;
    purged(&agent);
    assert_eq!(agent.containers(), []);
    assert!(!agent.dir().join("state").exists());
}

fn a_mounted_state_directory_stays_mounted(containerd: &Arc<Containerd>) {
    let mut agent = Agent::new(containerd, "purge-mount");
    let state = agent.dir().join("state");
    std::fs::create_dir_all(&state).expect("a directory");
    run(Command::new("mount")
        .args(["-t", "tmpfs", "purge-mount"])
        .arg(&state));
    agent.start();
    agent.ready();
    let set = Set {
        pod: &["volumes: [{name: scratch, emptyDir: {medium: Memory}}]"],
        container: &["volumeMounts: [{name: scratch, mountPath: /scratch}]"],
        ..sleeper("web")
    };
    agent.put("web.yaml", &set.yaml());
    agent.wait_running("web", 1);
    agent.term();
    std::fs::create_dir(state.join("seccomp")).expect("a directory");
    let said = purged(&agent);
    let names: Vec<_> = std::fs::read_dir(&state)
        .expect("it is there")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    run(Command::new("umount").arg(&state));
    assert_eq!(names, ["seccomp"], "{said}");
    assert!(
        said.contains("seccomp stays: setlet did not make it"),
        "{said}"
    );
    assert_eq!(agent.containers(), []);
}
