//! A node in memory on virtual time: the pods of a few DaemonSets as the rollout wants them, each in
//! a [`World`] of its own. It knows what a source would say of its manifests, and no more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use setlet::api::{Revision, Uid};
use setlet::model::{DesiredPod, Goal, Verdict};
use setlet::plan::rollout::{PodFact, Replace, Target, end_all, plan_rollout};

use crate::timeline_script::Script;
use crate::timeline_world::World;

/// How often the rollout is asked.
const STEP: Duration = Duration::from_millis(50);

/// A pod, also one that is gone.
pub struct Life {
    /// What it was called for.
    pub world: World,
    set: &'static str,
    want: DesiredPod,
}

/// The node.
pub struct Node {
    /// Every pod there ever was, oldest first.
    pub lives: Vec<Life>,
    /// The sets there are, with their revisions.
    pub sets: BTreeMap<&'static str, u32>,
    template: DesiredPod,
    begin: Timestamp,
    now: Timestamp,
}

impl Node {
    /// A node whose sets all make this pod.
    pub fn new(template: DesiredPod) -> Self {
        let begin = World::new(BTreeMap::new()).now;
        Self {
            lives: Vec::new(),
            sets: BTreeMap::new(),
            template,
            begin,
            now: begin,
        }
    }

    /// When it began.
    pub fn begin(&self) -> Timestamp {
        self.begin
    }

    /// Lets time pass until so many seconds after the beginning.
    pub fn run(&mut self, seconds: f64) {
        let until = self.begin + Duration::try_from_secs_f64(seconds).expect("a time");
        while self.now < until {
            self.decide();
            self.now = (self.now + STEP).min(until);
            for life in &mut self.lives {
                if !life.world.gone {
                    life.world.run(&Arc::new(life.want.clone()), self.now);
                    life.world.now = life.world.now.max(self.now);
                }
            }
        }
    }

    /// The running container of a name in the newest pod gets a signal.
    pub fn signal(&mut self, name: &str, signal: i32) {
        if let Some(life) = self.lives.last_mut() {
            life.world.signal(name, signal);
        }
    }

    /// Asks the rollout for each set, and for those that are no more.
    fn decide(&mut self) {
        let mut sets: Vec<&'static str> = self.sets.keys().copied().collect();
        sets.extend(self.lives.iter().map(|life| life.set));
        sets.sort_unstable();
        sets.dedup();
        for set in sets {
            let facts: Vec<PodFact> = self.alive(set).map(Life::fact).collect();
            let rollout = match self.sets.get(set) {
                None => end_all(&facts),
                Some(revision) => {
                    let target = Target {
                        run: Revision::new(revision.to_string()),
                        stage: None,
                        went_back: false,
                        reasons: Vec::new(),
                    };
                    plan_rollout(&Verdict::Run, &target, Replace::WhenStaged, &facts)
                }
            };
            for (uid, goal) in rollout.goals {
                let mut lives = self.lives.iter_mut();
                if let Some(life) = lives.find(|life| life.want.record.key.uid == uid) {
                    life.want(goal, self.now);
                }
            }
            if rollout.make.is_some() {
                self.make(set);
            }
        }
    }

    fn alive(&self, set: &str) -> impl Iterator<Item = &Life> {
        let set = set.to_owned();
        let of_set = self.lives.iter().filter(move |life| life.set == set);
        of_set.filter(|life| !life.world.gone)
    }

    fn make(&mut self, set: &'static str) {
        let alone = self.alive(set).next().is_none();
        let mut want = self.template.clone();
        let record = Arc::make_mut(&mut want.record);
        record.key.uid = Uid::new(self.lives.len().to_string());
        record.revision = Revision::new(self.sets[set].to_string());
        want.goal = if alone { Goal::Run } else { Goal::Stage };
        let mut world = World::new(Script::of_pod(&want));
        world.now = self.now;
        self.lives.push(Life { world, set, want });
    }
}

impl Life {
    fn fact(&self) -> PodFact {
        PodFact {
            uid: self.want.record.key.uid.clone(),
            revision: self.want.record.revision.clone(),
            ending: self.want.record.ending_since.is_some(),
            staged: self.world.staged,
            preparable: true,
            prepared: self.world.has_sandbox(),
            started: self.world.has_container(),
            held: false,
            available: self.world.has_container(),
            renewable: false,
            down: self.want.goal == Goal::End && self.world.is_still(),
        }
    }

    fn want(&mut self, goal: Goal, now: Timestamp) {
        self.want.goal = goal;
        let record = Arc::make_mut(&mut self.want.record);
        if goal == Goal::End && record.ending_since.is_none() {
            record.ending_since = Some(now);
        }
    }
}
