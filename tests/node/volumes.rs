//! Volumes as a container finds them, and as they change under it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use nix::sys::statfs::{TMPFS_MAGIC, statfs};

use crate::evidence::{DONE, assert_lines, printed, report};
use crate::harness::agent::SOON;
use crate::harness::{Agent, Containerd};
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together("volumes::of_objects_and_the_pod", of_objects_and_the_pod);
    suite.together(
        "volumes::change_under_a_container",
        change_under_a_container,
    );
    suite.together("volumes::empty_directories", empty_directories);
    suite.together("volumes::parts_of_a_volume", parts_of_a_volume);
    suite.together("volumes::of_an_image", of_an_image);
}

fn objects(value: &str, secret: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{a: {value}, b: two}}\n\
         binaryData: {{bin: AAECAw==}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\n\
         stringData: {{key: {secret}}}\n"
    )
}

fn of_objects_and_the_pod(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "volumes-objects");
    let script = format!(
        "cd /v; for f in map/x/y sec/key all/name all/limit all/b all/s; do \
         echo \"$f `stat -L -c %a $f` `cat $f`\"; done; echo \"only `ls map`\"; \
         echo \"bin `md5sum <whole/bin`\"; echo \"sec on `stat -f -c %T sec`\"; \
         touch map/new 2>/dev/null || echo read-only; {DONE}"
    );
    let volumes = "volumes: [\
        {name: map, configMap: {name: c, defaultMode: 0640, items: [{key: a, path: x/y}]}}, \
        {name: whole, configMap: {name: c}}, \
        {name: none, configMap: {name: absent, optional: true}}, \
        {name: sec, secret: {secretName: s, defaultMode: 0400}}, \
        {name: all, projected: {defaultMode: 0444, sources: [\
          {downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}, \
            {path: limit, mode: 0600, resourceFieldRef: {containerName: main, resource: limits.memory}}]}}, \
          {configMap: {name: c, items: [{key: b, path: b}]}}, \
          {secret: {name: s, items: [{key: key, path: s}]}}]}}]";
    let mounts = "volumeMounts: [{name: map, mountPath: /v/map}, {name: whole, mountPath: /v/whole}, \
        {name: none, mountPath: /v/none}, {name: sec, mountPath: /v/sec}, {name: all, mountPath: /v/all}]";
    let set = Set {
        script: &script,
        pod: &[volumes],
        container: &[mounts, "resources: {limits: {memory: 32Mi}}"],
        ..sleeper("objects")
    };
    let secret = "only-in-memory-9317";
    agent.put("a.yaml", &set.yaml());
    agent.put("b.yaml", &objects("one", secret));
    let (main, text) = report(&agent, "objects");
    assert_lines(
        &text,
        &[
            "map/x/y 640 one",
            &format!("sec/key 400 {secret}"),
            &format!("all/name 444 {}", main.pod()),
            "all/limit 600 33554432",
            "all/b 444 two",
            &format!("all/s 444 {secret}"),
            "only x",
            "bin 37b59afd592725f9305e484a5d7f5168  -",
            "sec on tmpfs",
            "read-only",
        ],
    );
    assert!(
        !on_disk(&agent.dir().join("state"), secret),
        "a secret in clear on disk"
    );
}

/// Whether a file below says this, but for what lies in memory.
fn on_disk(path: &Path, words: &str) -> bool {
    let in_memory = statfs(path).is_ok_and(|stat| stat.filesystem_type() == TMPFS_MAGIC);
    let entries = fs::read_dir(path).expect("a directory");
    !in_memory
        && entries.flatten().any(|entry| {
            let path = entry.path();
            if path.is_symlink() {
                return false;
            }
            if path.is_dir() {
                return on_disk(&path, words);
            }
            let text = fs::read(&path).unwrap_or_default();
            text.windows(words.len())
                .any(|part| part == words.as_bytes())
        })
}

fn change_under_a_container(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "volumes-change");
    let set = Set {
        // Both keys in one look: they change at once.
        script: "trap 'exit 0' TERM; while :; do cd /c; echo \"`cat a b` `cat /s/key`\"; cd /; sleep 0.2; done",
        pod: &["volumes: [{name: c, configMap: {name: c}}, {name: s, secret: {secretName: s}}]"],
        container: &["volumeMounts: [{name: c, mountPath: /c}, {name: s, mountPath: /s}]"],
        ..sleeper("changing")
    };
    agent.put("a.yaml", &set.yaml());
    agent.put("b.yaml", &objects("one", "first"));
    let main = agent.wait_running("changing", 1).remove(0);
    let wait = |words: &str| {
        agent.wait_for(SOON, words, || {
            let text = printed(&agent, &main);
            if text.contains(words) {
                Ok(())
            } else {
                Err(text)
            }
        });
    };
    wait("one");
    agent.put("b.yaml", &objects("other", "second"));
    wait("other");
    wait("second");
    assert_eq!(agent.running_of("changing"), [main], "without a restart");
}

fn empty_directories(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "volumes-empty");
    let script = format!(
        "sleep 1; echo \"memory `stat -f -c %T /m` `df -k /m | tail -1 | awk '{{print $2}}'`\"; \
         echo \"seen `cat /d/said`\"; echo \"group `stat -c %g /d`\"; {DONE}"
    );
    let other = "initContainers: [{name: other, image: docker.io/library/busybox:latest, \
        imagePullPolicy: IfNotPresent, volumeMounts: [{name: d, mountPath: /o}], \
        securityContext: {runAsUser: 1000, runAsGroup: 1000}, command: [sh, -c, 'echo hello >/o/said']}]";
    let set = Set {
        script: &script,
        pod: &[
            "volumes: [{name: d, emptyDir: {}}, {name: m, emptyDir: {medium: Memory, sizeLimit: 4Mi}}]",
            other,
            "securityContext: {fsGroup: 2345}",
        ],
        container: &["volumeMounts: [{name: d, mountPath: /d}, {name: m, mountPath: /m}]"],
        ..sleeper("empty")
    };
    agent.put("a.yaml", &set.yaml());
    let (main, text) = report(&agent, "empty");
    assert_lines(&text, &["memory tmpfs 4096", "seen hello", "group 2345"]);
    let uid = main.label("io.kubernetes.pod.uid").to_owned();
    let volumes = agent.dir().join("state/pods").join(uid);
    assert!(volumes.exists(), "{}", volumes.display());
    agent.remove("a.yaml");
    agent.wait_empty();
    agent.wait_for(SOON, "its directory is gone", || {
        if volumes.exists() {
            Err("it is there".to_owned())
        } else {
            Ok(())
        }
    });
}

fn parts_of_a_volume(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "volumes-parts");
    let host = agent.dir().join("host");
    fs::create_dir_all(host.join("in/volumes-parts")).expect("a directory");
    fs::write(host.join("in/volumes-parts/file"), "inside\n").expect("a file");
    let outside = agent.dir().join("outside");
    fs::create_dir(&outside).expect("a directory");
    symlink(&outside, host.join("evil")).expect("a link");
    let volume = format!(
        "volumes: [{{name: h, hostPath: {{path: {}}}}}]",
        host.display()
    );
    let script = format!("cat /one/file /two/file; ls /made | wc -l; {DONE}");
    let good = Set {
        script: &script,
        pod: &[&volume],
        container: &[
            "env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]",
            "volumeMounts: [{name: h, mountPath: /one, subPath: in/volumes-parts}, \
             {name: h, mountPath: /two, subPathExpr: in/$(NODE)}, {name: h, mountPath: /made, subPath: a/b/c}]",
        ],
        ..sleeper("good")
    };
    let evil = Set {
        pod: &[&volume],
        container: &["volumeMounts: [{name: h, mountPath: /x, subPath: evil/made}]"],
        ..sleeper("evil")
    };
    agent.put("a.yaml", &good.yaml());
    agent.put("b.yaml", &evil.yaml());
    let (_, text) = report(&agent, "good");
    assert_eq!(text, "inside\ninside\n0\nDONE\n");
    assert!(host.join("a/b/c").is_dir());
    agent.ready();
    agent.wait_for(SOON, "the way out is refused", || {
        let status = agent.setlet(&["status"]);
        if status.contains("CreateContainerConfigError") && status.contains("evil") {
            Ok(())
        } else {
            Err(status)
        }
    });
    assert!(agent.running_of("evil").is_empty());
    assert_eq!(
        fs::read_dir(&outside).expect("a list").count(),
        0,
        "nothing was made outside"
    );
}

fn of_an_image(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "volumes-image");
    let script = format!(
        "/image/bin/busybox echo from the image; touch /image/x 2>/dev/null || echo read-only; {DONE}"
    );
    let set = Set {
        script: &script,
        pod: &["volumes: [{name: i, image: {reference: busybox, pullPolicy: IfNotPresent}}]"],
        container: &["volumeMounts: [{name: i, mountPath: /image}]"],
        ..sleeper("image")
    };
    agent.put("a.yaml", &set.yaml());
    let version = containerd.ctr(&["version"]);
    if version.contains(" 1.") || version.contains("v1.") {
        agent.ready();
        agent.wait_for(SOON, "it is refused by name", || {
            let status = agent.setlet(&["status"]);
            if status.contains("image volume") {
                Ok(())
            } else {
                Err(status)
            }
        });
        assert!(agent.running_of("image").is_empty());
    } else {
        let (_, text) = report(&agent, "image");
        assert_eq!(text, "from the image\nread-only\nDONE\n");
    }
}
