//! Which pulls wait, run and have ended, and who waits for them: no calls, no clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::progress::Progress;
use super::puller::{Answer, PullWish, Pulled, Request};
use crate::api::Uid;
use crate::model::PullProgress;

/// The pulls of all images.
#[derive(Debug)]
pub(super) struct Pulls {
    /// So many run at a time.
    parallel: usize,
    /// By image: waiting for their turn, or running.
    open: BTreeMap<String, Pull>,
    /// The order in which they wait.
    waiting: VecDeque<String>,
    /// Ends not yet told, by pod and image.
    ended: BTreeMap<(Uid, String), Pulled>,
}

#[derive(Debug)]
struct Pull {
    wish: PullWish,
    since: Timestamp,
    progress: PullProgress,
    wanted_by: BTreeSet<Uid>,
    /// Set while it runs.
    stop: Option<CancellationToken>,
}

impl Pulls {
    /// No pulls yet, of which so many may run at a time.
    pub fn new(parallel: usize) -> Self {
        Self {
            parallel,
            open: BTreeMap::new(),
            waiting: VecDeque::new(),
            ended: BTreeMap::new(),
        }
    }

    pub fn take(&mut self, request: Request, now: Timestamp) {
        match request {
            Request::Ask(uid, image, reply) => {
                let _ = reply.send(self.answer(uid, image));
            }
            Request::Begin(uid, wish, reply) => {
                let image = wish.image.clone();
                let pull = self.open.entry(image.clone()).or_insert_with(|| {
                    self.waiting.push_back(image.clone());
                    Pull {
                        wish,
                        since: now,
                        progress: PullProgress::default(),
                        wanted_by: BTreeSet::new(),
                        stop: None,
                    }
                });
                pull.wanted_by.insert(uid.clone());
                let _ = reply.send(self.answer(uid, image));
            }
            Request::Release(uid, keep) => self.release(&uid, &keep),
        }
    }

    fn answer(&mut self, uid: Uid, image: String) -> Answer {
        if let Some(pull) = self.open.get(&image)
            && pull.wanted_by.contains(&uid)
        {
            return Answer::Running {
                since: pull.since,
                progress: pull.progress,
            };
        }
        self.ended
            .remove(&(uid, image))
            .map_or(Answer::Unknown, Answer::Ended)
    }

    fn release(&mut self, uid: &Uid, keep: &BTreeSet<String>) {
        self.ended
            .retain(|(u, image), _| u != uid || keep.contains(image));
        self.open.retain(|image, pull| {
            if !keep.contains(image) {
                pull.wanted_by.remove(uid);
            }
            let wanted = !pull.wanted_by.is_empty();
            if let (false, Some(stop)) = (wanted, &pull.stop) {
                stop.cancel();
            }
            wanted
        });
        self.waiting.retain(|image| self.open.contains_key(image));
    }

    /// The pulls whose turn it is.
    pub fn due(&mut self) -> Vec<PullWish> {
        let running = self.open.values().filter(|p| p.stop.is_some()).count();
        let free = self
            .parallel
            .saturating_sub(running)
            .min(self.waiting.len());
        let due = self.waiting.drain(..free);
        due.filter_map(|image| Some(self.open.get(&image)?.wish.clone()))
            .collect()
    }

    /// Notes that a pull runs; what it returns is cancelled when nobody wants it any more.
    pub fn started(&mut self, image: &str) -> CancellationToken {
        let stop = CancellationToken::new();
        if let Some(pull) = self.open.get_mut(image) {
            pull.stop = Some(stop.clone());
        }
        stop
    }

    pub fn end(&mut self, image: &str, pulled: &Pulled) {
        if let Some(pull) = self.open.remove(image) {
            for uid in pull.wanted_by {
                self.ended.insert((uid, image.to_owned()), pulled.clone());
            }
        }
    }

    /// The images whose pulls run.
    pub fn running(&self) -> Vec<String> {
        let running = self.open.iter().filter(|(_, p)| p.stop.is_some());
        running.map(|(image, _)| image.clone()).collect()
    }

    /// Notes the bytes of running pulls; the images there is news of.
    pub fn progress(&mut self, now: Progress) -> Vec<String> {
        let mut news = Vec::new();
        for (image, progress) in now {
            if let Some(pull) = self.open.get_mut(&image)
                && pull.progress != progress
            {
                pull.progress = progress;
                news.push(image);
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::sync::oneshot;

    const DONE: Pulled = Pulled::Done {
        took: Duration::ZERO,
    };

    fn begin(pulls: &mut Pulls, uid: &str, image: &str) -> Answer {
        let wish = PullWish {
            image: image.into(),
            sandbox: None,
            auth: Vec::new(),
        };
        let (reply, mut answer) = oneshot::channel();
        pulls.take(Request::Begin(Uid::new(uid), wish, reply), now());
        answer.try_recv().unwrap()
    }

    fn ask(pulls: &mut Pulls, uid: &str, image: &str) -> Answer {
        let (reply, mut answer) = oneshot::channel();
        pulls.take(Request::Ask(Uid::new(uid), image.into(), reply), now());
        answer.try_recv().unwrap()
    }

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn running(done: u64, total: u64) -> Answer {
        Answer::Running {
            since: now(),
            progress: PullProgress { done, total },
        }
    }

    /// Starts what is due and says which images those were.
    fn start(pulls: &mut Pulls) -> Vec<String> {
        let due: Vec<_> = pulls.due().into_iter().map(|w| w.image).collect();
        for image in &due {
            pulls.started(image);
        }
        due
    }

    #[test]
    fn pods_share_a_pull_and_each_is_told_its_end_once() {
        let mut pulls = Pulls::new(3);
        assert_eq!(ask(&mut pulls, "p", "a"), Answer::Unknown);
        assert_eq!(begin(&mut pulls, "p", "a"), running(0, 0));
        assert_eq!(begin(&mut pulls, "q", "a"), running(0, 0));
        assert_eq!(ask(&mut pulls, "r", "a"), Answer::Unknown);
        assert_eq!(start(&mut pulls), ["a"]);
        assert_eq!(start(&mut pulls), [""; 0]);
        pulls.end("a", &DONE);
        for uid in ["p", "q"] {
            assert_eq!(ask(&mut pulls, uid, "a"), Answer::Ended(DONE));
            assert_eq!(ask(&mut pulls, uid, "a"), Answer::Unknown);
        }
    }

    #[test]
    fn only_so_many_run_at_a_time_in_the_order_they_were_asked_for() {
        let mut pulls = Pulls::new(3);
        for image in ["e", "d", "c", "b", "a"] {
            begin(&mut pulls, "p", image);
        }
        assert_eq!(start(&mut pulls), ["e", "d", "c"]);
        assert_eq!(start(&mut pulls), [""; 0]);
        pulls.end("d", &DONE);
        assert_eq!(start(&mut pulls), ["b"]);
    }

    #[test]
    fn one_at_a_time_where_that_is_configured() {
        let mut pulls = Pulls::new(1);
        for image in ["a", "b"] {
            begin(&mut pulls, "p", image);
        }
        assert_eq!(start(&mut pulls), ["a"]);
        assert_eq!(start(&mut pulls), [""; 0]);
        pulls.end("a", &DONE);
        assert_eq!(start(&mut pulls), ["b"]);
    }

    #[test]
    fn a_pull_is_stopped_when_the_last_pod_takes_its_wish_back() {
        let mut pulls = Pulls::new(3);
        for (uid, image) in [("p", "a"), ("q", "a"), ("p", "b")] {
            begin(&mut pulls, uid, image);
        }
        pulls.due();
        let stop = pulls.started("a");
        pulls.take(Request::Release(Uid::new("p"), ["b".into()].into()), now());
        assert!(!stop.is_cancelled());
        assert_eq!(ask(&mut pulls, "p", "b"), running(0, 0));
        pulls.take(Request::Release(Uid::new("q"), BTreeSet::new()), now());
        assert!(stop.is_cancelled());
        // Asked for again at once, it is another pull.
        begin(&mut pulls, "q", "a");
        assert_eq!(start(&mut pulls), ["a"]);
    }

    #[test]
    fn bytes_are_news_when_they_change() {
        let mut pulls = Pulls::new(3);
        let bytes = |done| -> Progress { [("a".into(), PullProgress { done, total: 9 })].into() };
        begin(&mut pulls, "p", "a");
        assert_eq!(pulls.running(), [""; 0]);
        start(&mut pulls);
        assert_eq!(pulls.running(), ["a"]);
        assert_eq!(pulls.progress(bytes(2)), ["a"]);
        assert_eq!(pulls.progress(bytes(2)), [""; 0]);
        assert_eq!(ask(&mut pulls, "p", "a"), running(2, 9));
        pulls.end("a", &DONE);
        assert_eq!(pulls.progress(bytes(3)), [""; 0]);
    }
}
