//! Pods with `hostUsers: false`: in a user namespace of their own where the runtime has them, refused by
//! name where it has not.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use setlet::cri;
use setlet::cri::runtime_service_client::RuntimeServiceClient;

use crate::evidence::{DONE, assert_lines, report};
use crate::harness::agent::SOON;
use crate::harness::containerd::block_on;
use crate::harness::{Agent, Container, Containerd};
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together("user_namespaces::where_there_are_any", where_there_are_any);
}

/// Ids in a pod's range.
const LENGTH: u32 = 65536;

fn where_there_are_any(containerd: &Arc<Containerd>) {
    if are_there(containerd) {
        of_their_own(containerd);
    } else {
        refused(containerd);
    }
}

/// Whether the runtime says that its default handler has them.
fn are_there(containerd: &Containerd) -> bool {
    let status = block_on(async {
        let mut runtime = RuntimeServiceClient::new(containerd.channel().await);
        runtime.status(cri::StatusRequest { verbose: false }).await
    });
    let handlers = status.expect("a status").into_inner().runtime_handlers;
    let default = handlers.iter().find(|handler| handler.name.is_empty());
    default
        .and_then(|handler| handler.features.as_ref())
        .is_some_and(|features| features.user_namespaces)
}

fn refused(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "users-refused");
    let set = Set {
        pod: &["hostUsers: false"],
        ..sleeper("users")
    };
    agent.ready();
    agent.put("a.yaml", &set.yaml());
    agent.wait_for(SOON, "it is refused", || {
        // Until the set is planned the agent does not know it.
        let explained = agent.try_setlet(&["explain", "users"]).stdout;
        let why = "can't set `spec.hostUsers: false`, runtime does not support user namespaces";
        if explained.contains(why) {
            Ok(())
        } else {
            Err(explained)
        }
    });
    assert!(agent.running_of("users").is_empty());
}

/// Root in the container is nobody on the host, no two pods share an id, and files are the pod's.
fn of_their_own(containerd: &Arc<Containerd>) {
    let mut agent = Agent::started(containerd, "users-own");
    agent.put("host.yaml", &sleeper("host").yaml());
    for name in ["one", "two"] {
        put(&agent, name);
    }
    let (one, text) = report(&agent, "one");
    assert_lines(&text, &["id 0", "map 0:0 640", "written 0:0"]);
    let uid = one.label("io.kubernetes.pod.uid");
    let written = format!("state/pods/{uid}/volumes/kubernetes.io~empty-dir/d/x");
    let file = agent.dir().join(written).metadata().expect("the file");
    assert_eq!(
        file.uid(),
        0,
        "mapped where it is mounted, not where it lies"
    );
    assert_eq!(range(&agent.wait_running("host", 1)[0]), None);
    let two = agent.wait_running("two", 1).remove(0);
    agent.kill9();
    agent.start();
    agent.ready();
    put(&agent, "three");
    let three = agent.wait_running("three", 1).remove(0);
    let mut bases = [one, two, three].map(|pod| range(&pod).expect("a range of its own"));
    bases.sort_unstable();
    assert!(bases[0] >= LENGTH, "{bases:?}");
    let apart = bases.windows(2).all(|two| two[0] + LENGTH <= two[1]);
    assert!(apart, "{bases:?}");
}

fn put(agent: &Agent, name: &str) {
    let script = format!(
        "echo \"id `id -u`\"; echo \"map `stat -L -c '%u:%g %a' /m/k`\"; touch /d/x; \
         echo \"written `stat -c %u:%g /d/x`\"; {DONE}"
    );
    let set = Set {
        script: &script,
        pod: &[
            "hostUsers: false",
            "volumes: [{name: d, emptyDir: {}}, \
             {name: m, configMap: {name: c, defaultMode: 0640}}]",
        ],
        container: &["volumeMounts: [{name: d, mountPath: /d}, {name: m, mountPath: /m}]"],
        ..sleeper(name)
    };
    let map = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {k: v}\n";
    agent.put("map.yaml", map);
    agent.put(&format!("{name}.yaml"), &set.yaml());
}

/// Where root of a container's process is on the host; none where it is root there too.
fn range(container: &Container) -> Option<u32> {
    let pid = container.pid.expect("a process");
    let map = std::fs::read_to_string(format!("/proc/{pid}/uid_map")).expect("its map");
    let numbers: Vec<u32> = map.split_whitespace().flat_map(str::parse).collect();
    match numbers.as_slice() {
        [0, 0, u32::MAX] => None,
        [0, base, LENGTH] => Some(*base),
        other => panic!("{other:?}"),
    }
}
