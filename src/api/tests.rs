//! Whole texts through the door: documents, positions, merges, bombs, and the other kinds.

use super::{Admitted, Cause, Object, Origin, Refusal, Rejected, admit, admit_value};

const SET: &str = "apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      containers:
      - {name: agent, image: 'registry.example/agent:1'}
";

fn read(text: &str) -> Vec<Result<Admitted, Rejected>> {
    admit("f.yaml", text.as_bytes())
}

fn only(text: &str) -> Result<Admitted, Rejected> {
    let mut results = read(text);
    assert_eq!(results.len(), 1, "{results:?}");
    results.remove(0)
}

fn refused(text: &str) -> Rejected {
    only(text).expect_err("it must be refused")
}

fn labels_of(text: &str) -> Vec<String> {
    let text = SET.replace(
        "metadata: {name: agent}",
        &format!("metadata:\n  name: agent\n  labels:\n{text}"),
    );
    let admitted = only(&text).unwrap_or_else(|rejected| panic!("{rejected}"));
    let value = admitted.object.to_value();
    let labels = value["metadata"]["labels"]
        .as_object()
        .expect("labels")
        .clone();
    labels
        .into_iter()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap()))
        .collect()
}

#[test]
fn what_a_set_waits_for_is_checked_at_the_door() {
    let with = |text: &str| {
        let metadata =
            format!("metadata: {{name: agent, annotations: {{setlet.dev/after: '{text}'}}}}");
        SET.replace("metadata: {name: agent}", &metadata)
    };
    let Ok(Admitted {
        object: Object::DaemonSet(set),
        ..
    }) = only(&with("cni, path:/run/x"))
    else {
        panic!("it is admitted");
    };
    let after: Vec<String> = set.after().iter().map(ToString::to_string).collect();
    assert_eq!(after, ["default/cni", "path:/run/x"]);

    let rejected = refused(&with("path:x, default/agent"));
    assert_eq!(rejected.refusal, Refusal::Validation);
    for (error, says) in rejected.errors.iter().zip(["absolute", "itself"]) {
        assert_eq!(error.field, "metadata.annotations[setlet.dev/after]");
        assert_eq!(error.cause, Cause::Invalid);
        assert_eq!(error.position.map(|at| at.line), Some(3));
        assert!(error.message.contains(says), "{error}");
    }
    assert_eq!(rejected.errors.len(), 2);
}

#[test]
fn a_broken_document_is_refused_alone() {
    let results = read(&format!("{SET}---\na: [b\n---\n# nothing\n---\n{SET}"));
    let shown: Vec<String> = results
        .iter()
        .map(|result| match result {
            Ok(admitted) => format!("{} {}", admitted.origin, admitted.origin.document),
            Err(rejected) => format!("{} {}", rejected.refusal, rejected.origin.document),
        })
        .collect();
    assert_eq!(shown, ["f.yaml:1 1", "syntax 2", "f.yaml:16 4"]);
}

#[test]
fn errors_say_where() {
    let text = SET.replace("image: 'registry.example/agent:1'", "image: '', tty: 1");
    let rejected = refused(&format!("# first\n---\n{text}"));
    assert_eq!(rejected.refusal, Refusal::Decode);
    assert_eq!(
        rejected.to_string(),
        "f.yaml:12:39: spec.template.spec.containers[0].tty: must be true or false, not the number 1"
    );
    assert_eq!(
        rejected.object.map(|o| o.to_string()).as_deref(),
        Some("DaemonSet default/agent")
    );
    let rejected = refused(&SET.replace("app: agent}}\n  template", "app: x}}\n  template"));
    assert!(
        rejected
            .to_string()
            .starts_with("f.yaml:7:16: spec.template.metadata.labels: ")
    );
}

#[test]
fn keys_that_are_no_text_become_text() {
    let labels = "    yes: a\n    010: b\n    1.50: c\n    '1': e\n";
    assert_eq!(labels_of(labels), ["1=e", "1.5=c", "8=b", "true=a"]);
}

#[test]
fn merges_add_what_is_not_written_yet() {
    let text = SET.replace(
        "selector: {matchLabels: {app: agent}}",
        "selector: {matchLabels: &l {app: agent}}",
    );
    let merged = text.replace("labels: {app: agent}", "labels: {<<: *l, tier: x}");
    assert!(only(&merged).is_ok());
    let twice = text.replace("labels: {app: agent}", "labels: {<<: *l, app: agent}");
    let rejected = refused(&twice);
    assert_eq!(rejected.refusal, Refusal::Strict);
    assert_eq!(rejected.errors[0].cause, Cause::DuplicateKey);
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let below = level - 1;
        let items = vec![format!("*a{below}"); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    assert_eq!(refused(&text).refusal, Refusal::Syntax);
    let itself = refused("a: &a [*a]\n");
    assert_eq!(itself.refusal, Refusal::Syntax);
    for deep in [
        "[".repeat(10_000),
        "{a: ".repeat(10_000),
        "- ".repeat(10_000),
        "? ".repeat(10_000),
    ] {
        assert_eq!(refused(&deep).refusal, Refusal::Syntax);
    }
    let deep = admit("f.json", "[".repeat(100_000).as_bytes());
    assert!(deep[0].is_err());
}

/// A ConfigMap that refers so often to a text of that many bytes.
fn referring(bytes: usize, times: usize) -> String {
    let head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n";
    let text = "x".repeat(bytes);
    let others: String = (0..times).map(|n| format!("  k{n}: *t\n")).collect();
    format!("{head}  t: &t {text}\n{others}")
}

#[test]
fn what_aliases_stand_for_is_bounded_in_bytes() {
    let admitted = only(&referring(1000, 500)).expect("half a megabyte");
    let Object::ConfigMap(map) = admitted.object else {
        panic!("a ConfigMap")
    };
    assert_eq!(map.data.as_ref().map(|data| data.len()), Some(501));
    let rejected = refused(&referring(100_000, 40));
    assert!(
        rejected
            .to_string()
            .starts_with("f.yaml:1:1: the object is larger than 3 MiB")
    );
    let rejected = refused(&referring(100_000, 200));
    assert_eq!(rejected.refusal, Refusal::Syntax);
    let said = "f.yaml:110:9: written out, what stands behind aliases and << up to here is larger \
                than 10 MiB; refer to less, or split the document";
    assert_eq!(rejected.to_string(), said);
    let text = "y".repeat(100_000);
    let merged: String = (0..200).map(|_| "- <<: *m\n").collect();
    let rejected = refused(&format!("a: &m {{k: {text}}}\nb:\n{merged}"));
    assert!(
        rejected
            .to_string()
            .starts_with("f.yaml:107:7: written out"),
        "{rejected}"
    );
    // Names and values of every size are told in a bounded message.
    let long = "z".repeat(100_000);
    let quantity = SET.replace(
        "1'}",
        &format!("1', resources: {{limits: {{{long}: {long}}}}}}}"),
    );
    let said = refused(&quantity).to_string();
    assert!(said.len() < 3000 && said.contains('…'), "{said}");
}

#[test]
fn errors_and_documents_are_bounded_in_number() {
    let env = "        env:\n".to_owned() + &"        - {value: a}\n".repeat(5000);
    let rejected = refused(&SET.replace(
        "- {name: agent, image: 'registry.example/agent:1'}\n",
        &format!("- name: agent\n        image: a\n{env}"),
    ));
    assert_eq!(rejected.refusal, Refusal::Validation);
    assert_eq!(rejected.errors.len(), 201);
    assert!(rejected.errors[200].message.contains("more errors"));
    let results = read(&"---\na\n".repeat(20_000));
    assert_eq!(results.len(), 10_001);
    let last = results[10_000].as_ref().expect_err("too many");
    assert_eq!((last.object.as_ref(), last.origin.document), (None, 10_001));
    assert!(
        last.to_string().contains("more than 10000 documents"),
        "{last}"
    );
    let wrong = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\na: 1\nb: 2\nc: 3\n";
    let errors = read(&wrong.repeat(1000))
        .into_iter()
        .map(|r| r.expect_err("wrong").errors.len());
    assert_eq!(errors.sum::<usize>(), 334 * 3 + 666 * 2);
    let many = format!("[{}1]", "1,".repeat(1_000_000));
    let rejected = admit("f.json", many.as_bytes())
        .remove(0)
        .expect_err("too many values");
    assert_eq!(
        rejected.to_string(),
        "f.json:1:2000000: there are more than 1000000 values up to here; split the document"
    );
}

#[test]
fn items_of_a_list_are_objects_of_their_own() {
    let map = "  - {apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {k: v}}\n";
    let pod = "  - {apiVersion: v1, kind: Pod, metadata: {name: p}}\n";
    let results = read(&format!("apiVersion: v1\nkind: List\nitems:\n{map}{pod}"));
    assert_eq!(results.len(), 2);
    let admitted = results[0].as_ref().expect("a ConfigMap");
    assert_eq!(
        admitted.object.reference().to_string(),
        "ConfigMap default/c"
    );
    assert_eq!(
        admitted.origin,
        Origin {
            file: "f.yaml".into(),
            document: 1,
            line: 4
        }
    );
    let rejected = results[1].as_ref().expect_err("no Pods");
    assert_eq!((rejected.refusal, rejected.origin.line), (Refusal::Type, 5));
    assert!(rejected.to_string().contains("Pod (v1) is not taken"));
}

#[test]
fn secrets_merge_their_text() {
    let text = "{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {a: YQ==, b: YQ==}, stringData: {b: x}}";
    let admitted = only(text).expect("a Secret");
    let value = admitted.object.to_value();
    assert_eq!(value["data"], serde_json::json!({"a": "YQ==", "b": "eA=="}));
    assert_eq!(value["type"], "Opaque");
    assert!(value.get("stringData").is_none());
    let rejected = refused("{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {a: '*'}}");
    assert_eq!(rejected.refusal, Refusal::Decode);
    let rejected =
        refused("{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {'../a': YQ==}}");
    assert_eq!(rejected.errors[0].field, "data[../a]");
}

#[test]
fn what_is_admitted_is_admitted_again() {
    let admitted = only(SET).expect("the set");
    let again = admit_value(admitted.origin.clone(), admitted.object.to_value());
    assert_eq!(again, Ok(admitted));
}

#[test]
fn fields_that_cannot_be_honoured_are_named() {
    let volumes = "      volumes: [{name: v, persistentVolumeClaim: {claimName: c}}]\n      schedulingGates: [{name: g}]\n";
    let admitted = only(&format!("{SET}{volumes}")).expect("the set");
    let Object::DaemonSet(set) = admitted.object else {
        panic!("a DaemonSet")
    };
    let fields: Vec<String> = set
        .unsupported()
        .into_iter()
        .map(|error| error.field)
        .collect();
    let wanted = [
        "spec.template.spec.volumes[0].persistentVolumeClaim",
        "spec.template.spec.schedulingGates",
    ];
    assert_eq!(fields, wanted);
}

/// A short stand-in for the fuzz target: the same promise on a fixed row of broken texts.
#[test]
fn broken_texts_are_refused_in_words() {
    const PIECES: [&str; 16] = [
        "\n", ": ", "- ", "{", "]", "&a ", "*a", "<<: *a", "'", "\"", "!!int ", "---\n", "\t",
        "0x", "\u{0}", "|\n",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % bound as u64).unwrap()
    };
    for round in 0..1500 {
        let mut text = SET.to_owned();
        for _ in 0..=next(4) {
            let at = next(text.len());
            match next(3) {
                0 => text.insert_str(at, PIECES[next(PIECES.len())]),
                1 => drop(text.drain(at..(at + next(8)).min(text.len()))),
                _ => text.replace_range(at..=at, PIECES[next(PIECES.len())]),
            }
        }
        let file = if round % 8 == 0 { "f.json" } else { "f.yaml" };
        for result in admit(file, text.as_bytes()) {
            match result {
                Err(rejected) => assert!(!rejected.errors.is_empty(), "{text}"),
                Ok(admitted) => {
                    let again = admit_value(admitted.origin.clone(), admitted.object.to_value());
                    assert_eq!(again, Ok(admitted), "{text}");
                }
            }
        }
    }
}
