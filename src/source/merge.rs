//! From files to a snapshot: which version of which object is in force, and what is reported.
//!
//! Pure. Three rules. *Immutable*: a document that changes data which it and its predecessor say to be
//! immutable is refused. *Last good*: an object that a file had stays when the file's document of it is
//! refused, or when a refused document cannot be told to be another one. *First by path*: an object
//! belongs to the first file that has it; others are reported as duplicates. An object that stays
//! only because a refused document might be it yields to any file that has it in good order.
//!
//! Differs: kubelet ends a static pod whose manifest is refused, and restarts one whose file is renamed
//! or that a second file has; here none of that changes what is in force.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::read::{Reading, Rejection};
use crate::api::update::changed_immutable;
use crate::api::{Admitted, Kind, Object, ObjectRef, Origin};
use crate::model::{Refused, Snapshot};

/// What is known of one file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Contents {
    /// What it says now.
    pub(super) reading: Reading,
    /// Objects it had, which stay because of what is refused now.
    pub(super) kept: Vec<Admitted>,
}

impl Contents {
    /// Everything the file stands for.
    pub(super) fn objects(&self) -> impl Iterator<Item = &Admitted> {
        self.reading.admitted.iter().chain(&self.kept)
    }

    /// Whether the file names an object in a document that is refused.
    fn names(&self, object: &ObjectRef) -> bool {
        let named = |r: &Rejection| r.object.as_ref() == Some(object);
        self.reading.refused.iter().any(named)
    }
}

/// What follows on earlier contents of a file when it says something new.
pub(super) fn succeed(earlier: &[Admitted], mut reading: Reading) -> Contents {
    refuse_changed(earlier, &mut reading);
    let now: BTreeSet<ObjectRef> = references(&reading.admitted);
    let nameless = reading.refused.iter().any(|r| r.object.is_none());
    let named: BTreeSet<&ObjectRef> = reading
        .refused
        .iter()
        .filter_map(|r| r.object.as_ref())
        .collect();
    let mut seen = BTreeSet::new();
    let kept = earlier
        .iter()
        .filter(|object| {
            let reference = object.object.reference();
            !now.contains(&reference)
                && (nameless || named.contains(&reference))
                && seen.insert(reference)
        })
        .cloned()
        .collect();
    Contents { reading, kept }
}

/// Refuses documents that change what was said to be immutable.
fn refuse_changed(earlier: &[Admitted], reading: &mut Reading) {
    if !reading.says_immutable() {
        return;
    }
    let Reading { admitted, refused } = reading;
    admitted.retain(|new| {
        let reference = new.object.reference();
        let mut old = earlier
            .iter()
            .filter(|old| old.object.reference() == reference);
        let changed = old.find_map(|old| changed_immutable(&old.object, &new.object));
        refused.extend(changed.iter().map(|error| Rejection {
            origin: new.origin.clone(),
            object: Some(reference.clone()),
            errors: vec![format!("{}: {error}", new.origin)],
        }));
        changed.is_none()
    });
    refused.sort_by(|a, b| a.origin.cmp(&b.origin));
}

/// Whether objects of the earlier contents are gone from the new.
pub(super) fn loses(earlier: &[Admitted], contents: &Contents) -> bool {
    let now: BTreeSet<ObjectRef> = contents.objects().map(|o| o.object.reference()).collect();
    !references(earlier).is_subset(&now)
}

fn references(objects: &[Admitted]) -> BTreeSet<ObjectRef> {
    objects.iter().map(|o| o.object.reference()).collect()
}

/// Merges files, in path order, into the objects in force and the documents refused. Condition,
/// unread files and `synced` are the caller's.
pub(super) fn merge<'a>(
    files: impl Iterator<Item = (&'a PathBuf, &'a Contents)> + Clone,
) -> Snapshot {
    let mut snapshot = Snapshot::default();
    let mut owners: BTreeMap<ObjectRef, (&Path, &Origin)> = BTreeMap::new();
    for (path, contents) in files.clone() {
        let mut claims: Vec<(ObjectRef, &Admitted)> = contents
            .objects()
            .map(|object| (object.object.reference(), object))
            .collect();
        let admitted = contents.reading.admitted.len();
        let kept = claims.split_off(admitted);
        claims.extend(kept.into_iter().filter(|(r, _)| contents.names(r)));
        for (index, (reference, object)) in claims.into_iter().enumerate() {
            if let Some((_, first)) = owners.get(&reference) {
                // What stays of a refused document is reported with that document, below.
                if index < admitted {
                    snapshot
                        .refused
                        .push(duplicate(&reference, &object.origin, first));
                }
                continue;
            }
            insert(&mut snapshot, object);
            owners.insert(reference, (path, &object.origin));
        }
    }
    for (path, contents) in files.clone() {
        for object in &contents.kept {
            if let Entry::Vacant(vacant) = owners.entry(object.object.reference()) {
                vacant.insert((path, &object.origin));
                insert(&mut snapshot, object);
            }
        }
    }
    for (path, contents) in files {
        let stays = |object: &ObjectRef| owners.get(object).is_some_and(|(p, _)| *p == path);
        report(contents, &stays, &mut snapshot.refused);
    }
    snapshot
        .refused
        .sort_by_cached_key(|r| (PathBuf::from(&r.origin.file), r.origin.clone()));
    snapshot
}

/// Reports the refused documents of a file; `stays` tells whether an object in force is this file's.
fn report(contents: &Contents, stays: &dyn Fn(&ObjectRef) -> bool, refused: &mut Vec<Refused>) {
    let kept = references(&contents.kept);
    for rejection in &contents.reading.refused {
        let last_good = match &rejection.object {
            Some(object) => kept.contains(object) && stays(object),
            None => kept.iter().any(|o| !contents.names(o) && stays(o)),
        };
        refused.push(Refused {
            origin: rejection.origin.clone(),
            object: rejection.object.as_ref().map(ToString::to_string),
            set: rejection.object.as_ref().and_then(set_key),
            last_good,
            errors: rejection.errors.clone(),
        });
    }
}

/// Puts an object in force.
fn insert(snapshot: &mut Snapshot, admitted: &Admitted) {
    let key = admitted.object.reference().key;
    match &admitted.object {
        Object::DaemonSet(set) => {
            let value = (set.clone(), admitted.origin.clone());
            snapshot.sets.insert(key, value);
        }
        Object::ConfigMap(map) => drop(snapshot.config_maps.insert(key, map.clone())),
        Object::Secret(secret) => drop(snapshot.secrets.insert(key, secret.clone())),
    }
}

fn duplicate(object: &ObjectRef, origin: &Origin, first: &Origin) -> Refused {
    Refused {
        origin: origin.clone(),
        object: Some(object.to_string()),
        set: set_key(object),
        last_good: false,
        errors: vec![format!(
            "{origin}: {object} is a duplicate of the one in {first}, which is used because it \
             comes first by path"
        )],
    }
}

fn set_key(object: &ObjectRef) -> Option<crate::api::ObjectKey> {
    (object.kind == Kind::DaemonSet).then(|| object.key.clone())
}
