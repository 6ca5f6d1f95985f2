//! What people ask of the agent beside the manifests: written down first, then decided as anything
//! else.

use jiff::Timestamp;
use tracing::info;

use super::Coordinator;
use crate::agent::ledger::Slot;
use crate::api::ObjectKey;
use crate::clock;
use crate::model::time::shifted;
use crate::model::{Command, Overrides, Refusal, RevisionRecord, RolloutCommand, SetRecord};
use crate::server;

/// What is answered: what was done, in kubectl's words, or why not.
type Answer = Result<String, Refusal>;

impl Coordinator {
    /// Carries a request out and answers it. Who has given up by now asked for nothing: the state disk
    /// may have stalled since.
    pub(super) fn answer(&mut self, request: server::Request) {
        if request.reply.is_closed() {
            return;
        }
        let answer = match &request.command {
            Command::DeletePod(key) => self.delete_pod(key),
            Command::Rollout(key, command) => self.command_rollout(key, *command),
        };
        match &answer {
            Ok(done) => info!("asked for: {done}"),
            Err(refusal) => info!(?refusal, "refused"),
        }
        request.reply.send(answer).ok();
    }

    fn delete_pod(&mut self, key: &ObjectKey) -> Answer {
        let named = |slot: &&Slot| {
            slot.record.key.namespace == key.namespace && slot.record.key.name == key.name
        };
        let found = self.ledger.pods().find(named);
        let found = found.map(|slot| (slot.record.key.uid.clone(), slot.record.set.clone()));
        let not_found = || Refusal::NotFound(format!("pods \"{}\" not found", key.name));
        let (uid, set) = found.ok_or_else(not_found)?;
        if !self.record_end(&uid) {
            return Err(not_written());
        }
        self.dirty.insert(set);
        Ok(format!("pod \"{}\" deleted", key.name))
    }

    fn command_rollout(&mut self, key: &ObjectKey, command: RolloutCommand) -> Answer {
        let name = &key.name;
        let Some((source, _)) = self.snapshot.sets.get(key) else {
            return Err(Refusal::NotFound(format!(
                "daemonsets.apps \"{name}\" not found"
            )));
        };
        let manifest = source.content_hash();
        let Some(state) = self.sets.get(key) else {
            let message = format!("daemonset \"{name}\" does not run on this node: setlet explain");
            return Err(Refusal::Conflict(format!("{message} {key}")));
        };
        let annotated = source
            .annotation(crate::plan::policy::PAUSED)
            .is_some_and(|text| text == "true");
        let mut record = SetRecord::clone(&state.record);
        // As kubectl writes it: in the time of day.
        let now = shifted((self.clock)(), clock::ahead());
        let done = ask(&mut record, manifest, annotated, command, now)?;
        if !self.keep_record(key, record) {
            return Err(not_written());
        }
        self.dirty.insert(key.clone());
        Ok(format!("daemonset.apps/{name} {done}"))
    }
}

fn not_written() -> Refusal {
    Refusal::NotWritten("the state directory cannot be written; nothing was done".to_owned())
}

/// Takes a command into the overrides; returns what was done.
fn ask(
    record: &mut SetRecord,
    manifest: String,
    annotated: bool,
    command: RolloutCommand,
    now: Timestamp,
) -> Answer {
    let mut overrides = record.overrides.clone().unwrap_or_default();
    if overrides.manifest != manifest {
        overrides = Overrides {
            manifest,
            ..Overrides::default()
        };
    }
    let paused = overrides.paused.unwrap_or(annotated);
    let done = match command {
        RolloutCommand::Undo { to } => undo(record, &mut overrides, to)?,
        RolloutCommand::Restart => {
            overrides.restarted_at = Some(now);
            "restarted"
        }
        RolloutCommand::Pause if paused => return Err(conflict("is already paused")),
        RolloutCommand::Pause => {
            overrides.paused = Some(true);
            "paused"
        }
        RolloutCommand::Resume if !paused => return Err(conflict("is not paused")),
        RolloutCommand::Resume => {
            overrides.paused = Some(false);
            "resumed"
        }
        RolloutCommand::Approve => {
            let newest = record.revisions.iter().max_by_key(|r| r.number());
            let newest = newest.filter(|newest| record.current.as_ref() != Some(&newest.hash));
            let Some(newest) = newest else {
                return Err(conflict("has no update that waits"));
            };
            overrides.approved = Some(newest.hash.clone());
            "approved"
        }
    };
    record.overrides = Some(overrides);
    record.ended = None;
    Ok(done.to_owned())
}

/// To a number of the history, or to the revision before the one that is wanted now.
fn undo(
    record: &SetRecord,
    overrides: &mut Overrides,
    to: Option<i64>,
) -> Result<&'static str, Refusal> {
    let mut numbered: Vec<&RevisionRecord> = record.revisions.iter().collect();
    numbered.sort_by_key(|revision| revision.number());
    let newest = numbered.last().map(|newest| newest.hash.clone());
    let found = match to {
        None | Some(0) => numbered.into_iter().rev().nth(1),
        Some(number) => numbered.into_iter().find(|r| r.number() == number),
    };
    let found = found.ok_or_else(|| match to {
        None | Some(0) => Refusal::Conflict("no rollout history found".to_owned()),
        Some(number) => Refusal::NotFound(format!(
            "unable to find specified revision {number} in history"
        )),
    })?;
    if Some(&found.hash) == newest.as_ref() {
        return Ok("skipped rollback (current template already matches it)");
    }
    overrides.undo = Some(found.hash.clone());
    overrides.restarted_at = None;
    Ok("rolled back")
}

fn conflict(what: &str) -> Refusal {
    Refusal::Conflict(format!("the daemonset {what}"))
}
