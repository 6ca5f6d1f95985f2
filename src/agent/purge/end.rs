//! Ends pods: which go in which turn, and each by a worker of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::agent::events::EventSink;
use crate::agent::hands::Hands;
use crate::agent::pods;
use crate::agent::worker::Worker;
use crate::api::{Condition, ObjectKey, Uid, after};
use crate::clock;
use crate::model::{BackOff, DesiredPod, Goal, PodRecord, Reason, References};
use crate::plan::order::may_end;

/// What a pod is given beside its grace period; the runtime, and tries again, take time too.
const BEYOND: Duration = Duration::from_secs(120);
/// kubelet's grace period where a pod says none.
const GRACE: i64 = 30;
/// Hints that may wait for a worker, which gets none.
const HINTS: usize = 1;

/// The pods in the order of their ends: all of a turn at once, those of sets that come after others before
/// these.
pub(super) fn turns<'a>(pods: impl Iterator<Item = &'a PodRecord>) -> Vec<Vec<Uid>> {
    let mut of_set: BTreeMap<ObjectKey, Vec<Uid>> = BTreeMap::new();
    let mut ending: BTreeMap<ObjectKey, BTreeSet<Condition>> = BTreeMap::new();
    for record in pods {
        let text = record.pod.metadata.annotations.as_ref();
        let text = text.and_then(|all| all.get(after::ANNOTATION));
        let conditions = text.and_then(|text| after::conditions(text, &record.set).ok());
        let known = ending.entry(record.set.clone()).or_default();
        known.extend(conditions.unwrap_or_default());
        let uids = of_set.entry(record.set.clone()).or_default();
        uids.push(record.key.uid.clone());
    }
    let mut turns = Vec::new();
    while !ending.is_empty() {
        let first = ending.keys().filter(|key| may_end(key, &ending).is_empty());
        let mut first: Vec<ObjectKey> = first.cloned().collect();
        if first.is_empty() {
            first = ending.keys().cloned().collect();
        }
        first.iter().for_each(|key| drop(ending.remove(key)));
        let uids = first.iter().filter_map(|key| of_set.remove(key)).flatten();
        turns.push(uids.collect());
    }
    turns
}

/// Ends pods, all at once; what became of each.
pub(super) async fn end_all<'a>(
    hands: &Hands,
    pods: impl Iterator<Item = &'a PodRecord>,
) -> Vec<(Uid, Result<(), Reason>)> {
    let ends = pods.map(|record| async move { (record.key.uid.clone(), end(hands, record).await) });
    join_all(ends).await
}

/// Ends one pod as the agent does; where that takes too long, the reason why it is still there.
async fn end(hands: &Hands, record: &PodRecord) -> Result<(), Reason> {
    let spec = record.pod.spec.as_ref();
    let grace = spec
        .and_then(|spec| spec.termination_grace_period_seconds)
        .unwrap_or(GRACE);
    let limit = Duration::from_secs(u64::try_from(grace).unwrap_or(0)).saturating_add(BEYOND);
    let wish = DesiredPod {
        record: pods::ending(record, clock::steady()),
        goal: Goal::End,
        references: Arc::new(References::default()),
        held: Vec::new(),
        ports: Vec::new(),
        back_off: BackOff::default(),
        look_at: None,
        term: None,
    };
    let (_mailbox, want) = watch::channel(Arc::new(wish));
    let (_hints, hinted) = broadcast::channel(HINTS);
    let (reports, mut heard) = mpsc::channel(1);
    let worker = Worker {
        cri: hands.clone(),
        want,
        hints: hinted,
        reports,
        events: EventSink::new().0,
        clock: clock::steady,
        cancel: CancellationToken::new(),
    };
    let mut reason = None;
    let work = worker.run();
    let late = tokio::time::sleep(limit);
    tokio::pin!(work, late);
    loop {
        tokio::select! {
            () = &mut work => return Ok(()),
            () = &mut late => break,
            Some(report) = heard.recv() => reason = report.plan.reasons.first().cloned(),
        }
    }
    let why = || Reason::new("FailedKillPod", format!("it did not end within {limit:?}"));
    Err(reason.unwrap_or_else(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(set: &str, after: &str) -> PodRecord {
        let mut record = PodRecord::clone(&DesiredPod::of_test(serde_json::json!({}), &[]).record);
        record.set = ObjectKey::new("team", set);
        record.key.uid = Uid::new(set);
        let annotation = (after::ANNOTATION.to_owned(), after.to_owned());
        record.pod.metadata.annotations = Some([annotation].into());
        record
    }

    #[test]
    fn sets_that_come_after_others_end_first() {
        let pods = [
            pod("network", ""),
            pod("shipper", "network"),
            pod("last", "shipper,path:/x"),
            pod("alone", "gone"),
            pod("this", "that"),
            pod("that", "this"),
        ];
        let turns = turns(pods.iter());
        let names: Vec<Vec<&str>> = turns
            .iter()
            .map(|turn| turn.iter().map(Uid::as_str).collect())
            .collect();
        let first = vec!["alone", "last", "that", "this"];
        assert_eq!(names, [first, vec!["shipper"], vec!["network"]]);
    }
}
