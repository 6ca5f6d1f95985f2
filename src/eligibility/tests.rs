//! What a person reads in `setlet explain`; the decisions themselves are held by `tests/vectors`.

use super::*;
use crate::api::{self, Object};
use crate::model::{Taint, TaintEffect};

fn set(pod_spec: &str) -> std::sync::Arc<DaemonSet> {
    let text = format!(
        r#"{{"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{{"name":"a"}},"spec":{{
        "selector":{{"matchLabels":{{"app":"a"}}}},"template":{{"metadata":{{"labels":{{"app":"a"}}}},
        "spec":{{"containers":[{{"name":"c","image":"i"}}],{pod_spec}}}}}}}}}"#
    );
    match api::admit("a.json", text.as_bytes()).remove(0) {
        Ok(admitted) => match admitted.object {
            Object::DaemonSet(set) => set,
            other => panic!("not a DaemonSet: {other:?}"),
        },
        Err(rejected) => panic!("{rejected:?}"),
    }
}

fn node() -> NodeFacts {
    NodeFacts {
        name: "edge-17".to_owned(),
        labels: [("disk".to_owned(), "hdd".to_owned())].into(),
        taints: vec![Taint {
            key: "dedicated".to_owned(),
            value: "gpu".to_owned(),
            effect: TaintEffect::NoSchedule,
        }],
        ..NodeFacts::default()
    }
}

#[test]
fn a_missing_label_stops_and_says_which_value_decided() {
    let rules = explain(&set(r#""nodeSelector":{"disk":"ssd"}"#), &node());
    assert_eq!(
        rules[0],
        Rule {
            subject: "spec.template.spec.nodeSelector[disk]".to_owned(),
            holds: false,
            if_violated: IfViolated::Stop,
            because: "wanted disk=ssd, the node has disk=hdd".to_owned(),
        }
    );
    assert!(matches!(verdict(rules), Verdict::Stop(violated) if violated.len() == 2));
}

#[test]
fn an_untolerated_noschedule_taint_only_keeps() {
    let verdict = decide(&set(r#""hostNetwork":true"#), &node());
    let Verdict::Keep(violated) = verdict else {
        panic!("{verdict:?}")
    };
    assert_eq!(violated[0].subject, "taint dedicated=gpu:NoSchedule");
}

#[test]
fn a_toleration_lets_it_run_and_is_named() {
    let set = set(r#""tolerations":[{"key":"dedicated","operator":"Exists"}]"#);
    assert_eq!(decide(&set, &node()), Verdict::Run);
    assert_eq!(
        explain(&set, &node())[0].because,
        "tolerated by dedicated Exists for every effect"
    );
}

#[test]
fn every_affinity_term_says_what_was_against_it() {
    let set = set(
        r#""affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":
        {"nodeSelectorTerms":[{"matchExpressions":[{"key":"disk","operator":"In","values":["ssd","nvme"]}]},
        {"matchFields":[{"key":"metadata.name","operator":"In","values":["edge-18"]}]}]}}}"#,
    );
    assert_eq!(
        explain(&set, &node())[0].because,
        "term 0: wanted disk In [ssd, nvme], the node has disk=hdd; \
         term 1: wanted metadata.name In [edge-18], this node is \"edge-17\""
    );
}
