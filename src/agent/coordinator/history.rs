//! The history of a set: which revision its manifest means, with what commands ask of it, and what
//! is recorded of each.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use tracing::info;

use super::Coordinator;
use crate::api::daemonset::DaemonSet;
use crate::api::revisions::{self, Advance};
use crate::api::{ObjectKey, Revision};
use crate::clock;
use crate::model::time::shifted;
use crate::model::{Overrides, Reason, References, RevisionRecord, SetRecord, Subject};
use crate::plan::policy::Policy;
use crate::plan::references::{digest, referred_names, resolve};
use crate::status;

/// The template annotation that makes a change of a referenced object a revision.
const CONFIG_HASH: &str = "setlet.dev/config-hash";
/// The template annotation of `kubectl rollout restart`.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// What the coordinator knows of one set.
pub(super) struct SetState {
    /// What is on disk.
    pub record: Arc<SetRecord>,
    wanted: Option<Wanted>,
    /// The set with another revision's template, the last one that was asked for.
    other: Option<Arc<DaemonSet>>,
}

impl SetState {
    /// Takes up what is on disk, or begins.
    pub fn new(record: SetRecord) -> Self {
        Self {
            record: Arc::new(record),
            wanted: None,
            other: None,
        }
    }
}

/// What a manifest means, and what that was made of.
#[derive(Clone)]
pub(super) struct Wanted {
    source: Arc<DaemonSet>,
    overrides: Option<Overrides>,
    /// The hash of the manifest's object.
    manifest: String,
    /// The set to run in the end.
    pub set: Arc<DaemonSet>,
    /// What it is tried with.
    pub subject: Subject,
    /// The objects it refers to.
    pub objects: Arc<References>,
}

impl Coordinator {
    /// Brings a set's history up to its manifest, and says what that means; nothing where it could
    /// not be written down.
    pub(super) fn advance(
        &mut self,
        key: &ObjectKey,
        source: &Arc<DaemonSet>,
        policy: &Policy,
    ) -> Option<Wanted> {
        let state = self
            .sets
            .entry(key.clone())
            .or_insert_with(|| SetState::new(SetRecord::new(key.clone())));
        let mut record = SetRecord::clone(&state.record);
        let known = state.wanted.take();
        let manifest = match &known {
            Some(known) if Arc::ptr_eq(&known.source, source) => known.manifest.clone(),
            _ => source.content_hash(),
        };
        end_overrides(&mut record, &manifest);
        let wanted = self.wanted(known, source, manifest, &record, policy);
        let fresh = take_in(&mut record, &wanted, policy, (self.clock)());
        if fresh {
            self.trim(&mut record, &wanted.set);
        }
        let number = record
            .revision(wanted.set.revision())
            .map(RevisionRecord::number);
        let revision = wanted.set.revision();
        if !self.keep_record(key, record) {
            return None;
        }
        if fresh {
            info!(set = %key, %revision, number, "a revision");
        }
        if let Some(state) = self.sets.get_mut(key) {
            state.wanted = Some(wanted.clone());
        }
        Some(wanted)
    }

    /// What the manifest means now; as it was known, where nothing of it changed.
    fn wanted(
        &self,
        known: Option<Wanted>,
        source: &Arc<DaemonSet>,
        manifest: String,
        record: &SetRecord,
        policy: &Policy,
    ) -> Wanted {
        let overrides = record.overrides.clone();
        let objects = |set: &DaemonSet| {
            let names = referred_names(set.pod_spec());
            Arc::new(resolve(&set.key().namespace, &names, &self.snapshot))
        };
        if let Some(known) = known
            && Arc::ptr_eq(&known.source, source)
            && known.overrides == overrides
            && *known.objects == *objects(&known.set)
        {
            return known;
        }
        let asked = overrides.as_ref();
        let earlier = asked.and_then(|asked| asked.undo.as_ref());
        let earlier = earlier.and_then(|hash| template_set(source, record, hash));
        let is_earlier = earlier.is_some();
        let mut set = earlier.unwrap_or_else(|| Arc::clone(source));
        let objects = objects(&set);
        // Who goes back to a revision by hand wants it tried, whatever became of it before.
        let earlier = asked.and_then(|asked| asked.undo.as_ref());
        let subject = Subject {
            manifest: match earlier {
                Some(earlier) => format!("{manifest} {earlier}"),
                None => manifest.clone(),
            },
            objects: digest(&objects),
        };
        if policy.config_rollout && !is_earlier && !subject.objects.is_empty() {
            set = Arc::new(set.with_template_annotation(CONFIG_HASH, &subject.objects));
        }
        if let Some(at) = asked.and_then(|asked| asked.restarted_at) {
            set = Arc::new(set.with_template_annotation(RESTARTED_AT, &at.to_string()));
        }
        Wanted {
            source: Arc::clone(source),
            overrides,
            manifest,
            set,
            subject,
            objects,
        }
    }

    /// The set with the template of a revision.
    pub(super) fn set_of(&mut self, wanted: &Wanted, hash: &Revision) -> Option<Arc<DaemonSet>> {
        if wanted.set.revision() == hash {
            return Some(Arc::clone(&wanted.set));
        }
        let state = self.sets.get_mut(wanted.set.key())?;
        match &state.other {
            Some(other)
                if other.revision() == hash && other.metadata() == wanted.source.metadata() => {}
            _ => state.other = template_set(&wanted.source, &state.record, hash),
        }
        state.other.clone()
    }

    /// Removes the revisions that nobody needs beyond the set's limit.
    fn trim(&self, record: &mut SetRecord, set: &DaemonSet) {
        let mut live: BTreeSet<Revision> = self
            .ledger
            .slots_of(set.key())
            .map(|slot| slot.record.revision.clone())
            .collect();
        live.extend(record.current.clone());
        live.extend(record.last_good().map(|good| good.hash.clone()));
        let history: Vec<_> = record.revisions.iter().map(|r| r.object.clone()).collect();
        let mut surplus = revisions::surplus(&history, set, &live);
        surplus.sort_unstable();
        for index in surplus.into_iter().rev() {
            record.revisions.remove(index);
        }
    }

    /// Writes a set's record down where it changed; false when that failed, and nothing may follow
    /// from it.
    pub(super) fn keep_record(&mut self, key: &ObjectKey, record: SetRecord) -> bool {
        let Some(state) = self.sets.get(key) else {
            return false;
        };
        if *state.record == record && !record.revisions.is_empty() {
            return true;
        }
        let written = self.write_set(&record);
        if let Some(state) = self.sets.get_mut(key).filter(|_| written) {
            state.record = Arc::new(record);
        }
        written
    }
}

/// Overrides hold for one content of the manifest.
fn end_overrides(record: &mut SetRecord, manifest: &str) {
    let Some(overrides) = record.overrides.take_if(|o| o.manifest != manifest) else {
        return;
    };
    let message = format!("{} ended: the manifest changed", overrides.in_words());
    info!(set = %record.set, "{message}");
    record.ended = Some(Reason::new("OverrideEnded", message));
}

/// Records the wanted revision; true where the history changed.
fn take_in(record: &mut SetRecord, wanted: &Wanted, policy: &Policy, now: Timestamp) -> bool {
    let hash = wanted.set.revision();
    let newest = record.revisions.iter().map(RevisionRecord::number).max();
    if record
        .revision(hash)
        .is_some_and(|known| Some(known.number()) == newest)
    {
        return false;
    }
    let history: Vec<_> = record.revisions.iter().map(|r| r.object.clone()).collect();
    match revisions::advance(&history, &wanted.set) {
        Advance::Reuse { index, number } => {
            if let Some(known) = record.revisions.get_mut(index) {
                known.object.revision = number;
            }
        }
        Advance::New { number } => {
            let (mut object, _) = revisions::controller_revision(&wanted.set, number, |_| false);
            object.metadata.creation_timestamp = Some(status::time(shifted(now, clock::ahead())));
            let mut fresh = RevisionRecord::new(hash.clone(), object);
            if policy.config_rollout {
                fresh.objects = Some(Arc::clone(&wanted.objects));
            }
            record.revisions.push(fresh);
        }
    }
    true
}

fn template_set(
    source: &Arc<DaemonSet>,
    record: &SetRecord,
    hash: &Revision,
) -> Option<Arc<DaemonSet>> {
    if source.revision() == hash {
        return Some(Arc::clone(source));
    }
    let template = revisions::template_of(&record.revision(hash)?.object)?;
    Some(Arc::new(source.with_template(template)))
}
