//! What stands in volumes, and what is refused, without anything being mounted.

use serde_json::{Value, json};

use super::projected::payload;
use super::{Context, Error, prepare, teardown};
use crate::blocking::Progress;
use crate::model::{DesiredPod, NodeFacts};

fn objects() -> Vec<Value> {
    vec![
        json!({"kind": "ConfigMap", "metadata": {"name": "conf"},
            "data": {"a": "1", "b": "2"}, "binaryData": {"c": "/w=="}}),
        json!({"kind": "Secret", "metadata": {"name": "key"}, "data": {"token": "eA=="}}),
    ]
}

/// The files of a volume as `path mode content`, or what was refused.
fn files(volume: Value) -> Result<Vec<String>, String> {
    let mut volume = volume;
    volume["name"] = json!("v");
    let pod = DesiredPod::of_test(json!({"containers": [], "volumes": [volume]}), &objects());
    let context = Context {
        pod: &pod,
        node: &NodeFacts::default(),
        pods_root: std::path::Path::new("/nowhere"),
        progress: &Progress::default(),
    };
    let volumes = pod.spec().volumes.as_deref().unwrap_or_default();
    let payload = payload(&context, &volumes[0]).map_err(|e| e.reason().message)?;
    let files = payload.map(|p| p.files).unwrap_or_default();
    Ok(files
        .into_iter()
        .map(|(path, f)| {
            format!(
                "{path} {:o} {:?}",
                f.mode,
                f.content.escape_ascii().to_string()
            )
        })
        .collect())
}

#[test]
fn all_keys_of_an_object_or_its_items_are_files() {
    let all = files(json!({"configMap": {"name": "conf", "defaultMode": 0o440}}));
    let want = ["a 440 \"1\"", "b 440 \"2\"", "c 440 \"\\\\xff\""];
    assert_eq!(all.expect("files"), want);
    let items = json!([{"key": "b", "path": "d/x"}, {"key": "a", "path": "y", "mode": 0o600}]);
    let some = files(json!({"configMap": {"name": "conf", "items": items}}));
    assert_eq!(some.expect("files"), ["d/x 644 \"2\"", "y 600 \"1\""]);
}

#[test]
fn sources_are_projected_together() {
    let projected = json!({"projected": {"defaultMode": 0o400, "sources": [
        {"configMap": {"name": "conf", "items": [{"key": "a", "path": "a"}]}},
        {"secret": {"name": "key"}},
        {"configMap": {"name": "none", "optional": true}},
        {"downwardAPI": {"items": [
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    ]}});
    let want = [
        "a 400 \"1\"",
        "labels 400 \"app=\\\\\\\"x\\\\\\\"\"",
        "token 400 \"x\"",
    ];
    assert_eq!(files(projected).expect("files"), want);
}

#[test]
fn what_is_missing_is_named() {
    let message = |volume| files(volume).expect_err("refused");
    assert!(
        message(json!({"configMap": {"name": "ceph-config"}}))
            .ends_with("configmap \"ceph-config\" not found")
    );
    assert!(message(json!({"secret": {"secretName": "no"}})).ends_with("secret \"no\" not found"));
    let items = json!([{"key": "zz", "path": "x"}]);
    assert!(
        message(json!({"configMap": {"name": "conf", "items": items}}))
            .ends_with("references non-existent config key: zz")
    );
    let optional = json!({"configMap": {"name": "conf", "items": items, "optional": true}});
    assert_eq!(files(optional).expect("files"), Vec::<String>::new());
    let token = json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}});
    assert!(message(token).contains("service account token"));
}

#[test]
fn only_volumes_in_use_are_looked_at() {
    let root = tempfile::tempdir().expect("a directory");
    let volumes = json!([
        {"name": "bad", "hostPath": {"path": "/no/such", "type": "Directory"}},
        {"name": "good", "hostPath": {"path": "/", "type": "Directory"}},
    ]);
    let mounts =
        |name: &str| json!([{"name": "c", "volumeMounts": [{"name": name, "mountPath": "/v"}]}]);
    let try_one = |name: &str| {
        let spec = json!({"containers": mounts(name), "volumes": volumes});
        let pod = DesiredPod::of_test(spec, &[]);
        prepare(
            &pod,
            root.path(),
            &NodeFacts::default(),
            &Progress::default(),
        )
    };
    assert_eq!(try_one("good").expect("prepared").len(), 1);
    assert!(matches!(try_one("bad"), Err(Error::HostPathType { .. })));
}

#[test]
fn teardown_takes_what_is_the_pods_and_no_more() {
    let root = tempfile::tempdir().expect("a directory");
    let at = |path: &str| root.path().join(path);
    let pod = DesiredPod::of_test(json!({"containers": []}), &[]);
    let logs = "logs/team_set-abcde_1-2";
    for directory in [
        "pods/1-2/volumes/x",
        "pods/other",
        &format!("{logs}/c"),
        "links",
    ] {
        std::fs::create_dir_all(at(directory)).expect("a directory");
    }
    std::fs::create_dir(at("precious")).expect("a directory");
    std::os::unix::fs::symlink(at("precious"), at("pods/1-2/volumes/x/out")).expect("a link");
    std::os::unix::fs::symlink(at(logs).join("c/0.log"), at("links/set-abcde_team_c-1.log"))
        .expect("a link");
    std::os::unix::fs::symlink(at("pods"), at("links/set-abcde_team_c-2.log")).expect("a link");
    let (pods, logs_root, links) = (at("pods"), at("logs"), at("links"));
    for _ in 0..2 {
        teardown(pod.key(), &pods, &logs_root, &links, &Progress::default()).expect("torn down");
    }
    assert!(!at("pods/1-2").exists() && at("pods/other").exists());
    assert!(at("precious").exists() && !at(logs).exists());
    assert!(
        at("links/set-abcde_team_c-1.log")
            .symlink_metadata()
            .is_err()
    );
    assert!(
        at("links/set-abcde_team_c-2.log")
            .symlink_metadata()
            .is_ok()
    );
}
