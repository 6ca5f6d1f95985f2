//! Last good, duplicates and precedence, as values.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::merge::{Contents, loses, merge, succeed};
use super::super::read::{Reading, Rejection};
use super::*;
use crate::api::{Admitted, Kind, ObjectKey, ObjectRef, admit};
use crate::model::SourceCondition;

/// What a file with this text says.
fn reading(file: &str, text: &str) -> Reading {
    let mut reading = Reading::default();
    for result in admit(file, text.as_bytes()) {
        match result {
            Ok(admitted) => reading.admitted.push(admitted),
            Err(rejected) => reading.refused.push(Rejection {
                errors: vec!["broken".to_owned()],
                origin: rejected.origin,
                object: rejected.object,
            }),
        }
    }
    reading
}

/// A file that had one text after another.
fn history(file: &str, texts: &[&str]) -> (PathBuf, Contents) {
    let mut contents = Contents::default();
    for text in texts {
        let earlier: Vec<Admitted> = contents.objects().cloned().collect();
        contents = succeed(&earlier, reading(file, text));
    }
    (PathBuf::from(file), contents)
}

fn merged(files: Vec<(PathBuf, Contents)>) -> Snapshot {
    let files: BTreeMap<PathBuf, Contents> = files.into_iter().collect();
    merge(files.iter())
}

fn names(snapshot: &Snapshot) -> Vec<(String, String)> {
    images(snapshot)
}

fn want(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect()
}

fn broken(name: &str) -> String {
    set(name, "x").replace("containers:", "containerz:")
}

fn refused(
    file: &str,
    document: usize,
    line: usize,
    name: Option<&str>,
    last_good: bool,
) -> Refused {
    Refused {
        origin: crate::api::Origin {
            file: file.to_owned(),
            document,
            line,
        },
        object: name.map(|name| format!("DaemonSet default/{name}")),
        set: name.map(|name| ObjectKey::new("default", name)),
        last_good,
        errors: vec!["broken".to_owned()],
    }
}

#[test]
fn a_refused_document_keeps_its_object_and_no_other() {
    let both = format!("{}---\n{}", set("a", "a:1"), set("b", "b:1"));
    let edited = format!("{}---\n{}", broken("a"), set("b", "b:2"));
    let snapshot = merged(vec![history("f.yaml", &[&both, &edited])]);
    assert_eq!(names(&snapshot), want(&[("a", "a:1"), ("b", "b:2")]));
    assert_eq!(snapshot.refused, [refused("f.yaml", 1, 1, Some("a"), true)]);
    // Broken twice is still the first one; repaired is the new one.
    let again = merged(vec![history("f.yaml", &[&both, &edited, &edited])]);
    assert_eq!(again, snapshot);
    let repaired = merged(vec![history("f.yaml", &[&both, &edited, &both])]);
    assert_eq!(names(&repaired), want(&[("a", "a:1"), ("b", "b:1")]));
    assert_eq!(repaired.refused, []);
}

#[test]
fn a_document_removed_beside_a_refused_one_is_gone() {
    let both = format!("{}---\n{}", set("a", "a:1"), set("b", "b:1"));
    let snapshot = merged(vec![history("f.yaml", &[&both, &broken("a")])]);
    assert_eq!(names(&snapshot), want(&[("a", "a:1")]));
}

#[test]
fn text_that_cannot_be_read_keeps_everything_the_file_had() {
    let both = format!("{}---\n{}", set("a", "a:1"), set("b", "b:1"));
    let snapshot = merged(vec![history("f.yaml", &[&both, "kind: [\n"])]);
    assert_eq!(names(&snapshot), want(&[("a", "a:1"), ("b", "b:1")]));
    assert!(only(&snapshot.refused).last_good);
    assert_eq!(only(&snapshot.refused).object, None);
}

#[test]
fn a_file_that_was_never_good_gives_nothing() {
    let snapshot = merged(vec![history("f.yaml", &[&broken("a")])]);
    assert_eq!(names(&snapshot), want(&[]));
    assert_eq!(
        snapshot.refused,
        [refused("f.yaml", 1, 1, Some("a"), false)]
    );
}

#[test]
fn the_first_by_path_has_the_object() {
    let files = vec![
        history("b.yaml", &[&set("a", "b:1")]),
        history("a.yaml", &[&set("a", "a:1")]),
    ];
    let snapshot = merged(files);
    assert_eq!(names(&snapshot), want(&[("a", "a:1")]));
    let mut duplicate = refused("b.yaml", 1, 1, Some("a"), false);
    duplicate.errors = vec![
        "b.yaml:1: DaemonSet default/a is a duplicate of the one in a.yaml:1, which is used \
         because it comes first by path"
            .to_owned(),
    ];
    assert_eq!(snapshot.refused, [duplicate]);
}

#[test]
fn what_runs_goes_on_when_a_duplicate_lies_beside_its_refused_document() {
    let files = vec![
        history("a.yaml", &[&set("a", "a:1"), &broken("a")]),
        history("b.yaml", &[&set("a", "b:1")]),
    ];
    let snapshot = merged(files);
    assert_eq!(names(&snapshot), want(&[("a", "a:1")]));
    let last_good: Vec<bool> = snapshot.refused.iter().map(|r| r.last_good).collect();
    assert_eq!(last_good, [true, false]);
}

#[test]
fn an_object_moved_out_of_a_file_that_cannot_be_read_is_the_other_files() {
    let files = vec![
        history("a.yaml", &[&set("a", "a:1"), "kind: [\n"]),
        history("b.yaml", &[&set("a", "b:1")]),
    ];
    let snapshot = merged(files);
    assert_eq!(names(&snapshot), want(&[("a", "b:1")]));
    assert!(!only(&snapshot.refused).last_good);
}

#[test]
fn a_loss_is_an_object_that_nothing_keeps() {
    let both = format!("{}---\n{}", set("a", "a:1"), set("b", "b:1"));
    let earlier = reading("f.yaml", &both).admitted;
    let loss = |text: &str| loses(&earlier, &succeed(&earlier, reading("f.yaml", text)));
    assert!(loss(""));
    assert!(loss(&set("a", "a:2")));
    assert!(!loss(&both));
    assert!(!loss("kind: [\n"));
}

#[test]
fn kinds_with_the_same_name_are_different_objects() {
    let text = format!("{}---\n{}", set("a", "a:1"), config_map("a", "1"));
    let (path, contents) = history("f.yaml", &[&text]);
    let kinds: Vec<ObjectRef> = contents.objects().map(|o| o.object.reference()).collect();
    assert_eq!(
        kinds.iter().map(|k| k.kind).collect::<Vec<_>>(),
        [Kind::DaemonSet, Kind::ConfigMap]
    );
    let snapshot = merged(vec![(path, contents)]);
    assert_eq!((snapshot.sets.len(), snapshot.config_maps.len()), (1, 1));
    assert_eq!(snapshot.refused, []);
}

#[test]
fn of_two_sources_the_first_takes_precedence() {
    let mut directory = merged(vec![history("a.yaml", &[&set("a", "a:1")])]);
    directory.synced = true;
    directory.condition = SourceCondition::Ready;
    let text = format!("{}---\n{}", set("a", "k:1"), set("b", "k:1"));
    let other = merged(vec![history("kube", &[&text])]);
    let all = combine(&[&directory, &other]);
    assert_eq!(names(&all), want(&[("a", "a:1"), ("b", "k:1")]));
    assert_eq!(
        (all.synced, &all.condition),
        (false, &SourceCondition::Pending)
    );
    assert_eq!(only(&all.refused).origin.file, "kube");
    assert_eq!(combine(&[&directory]), directory);
}

#[test]
fn what_people_read_says_whether_the_old_version_stays() {
    let mut document = refused("f.yaml", 1, 1, None, true);
    let stays = "file changed, refused: broken; the version before it stays in force";
    assert_eq!(describe(&document), stays);
    document.last_good = false;
    document.errors.push("more".to_owned());
    assert_eq!(describe(&document), "refused: broken (and 1 more)");
}

#[test]
fn what_says_to_be_immutable_does_not_change() {
    let immutable = |value: &str| format!("immutable: true\n{}", config_map("c", value));
    let value = |texts: &[&str]| {
        let snapshot = merged(vec![history("c.yaml", texts)]);
        let map = snapshot.config_maps.values().next().expect("it is there");
        let told = snapshot
            .refused
            .first()
            .map(|refused| refused.errors.clone());
        (map.data.as_ref().expect("data")["a"].clone(), told)
    };
    let (one, two) = (immutable("1"), immutable("2"));
    let why = "c.yaml:1: data: field is immutable when `immutable` is set; remove the object first, \
               or give it a new name";
    let refused = ("1".to_owned(), Some(vec![why.to_owned()]));
    assert_eq!(value(&[&one, &two]), refused);
    assert_eq!(value(&[&one, &two, &one]), ("1".to_owned(), None));
    let relabelled = one.replace("name: c", "name: c, labels: {x: v}");
    assert_eq!(value(&[&one, &relabelled]), ("1".to_owned(), None));
    assert_eq!(value(&[&config_map("c", "1"), &two]).0, "2");
    assert_eq!(value(&[&one, &config_map("c", "2")]).0, "2");
}
