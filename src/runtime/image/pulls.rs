//! Which pulls wait, run and have ended, and who waits for them: no calls, no clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::progress::Progress;
use super::puller::{Answer, PullWish, Pulled, Request};
use crate::api::Uid;
use crate::model::PullProgress;

/// A pull that has fetched nothing for so long gives its turn to the next, and goes on beside it.
const STALLED: Duration = Duration::from_secs(10);

/// The pulls of all images.
#[derive(Debug)]
pub(super) struct Pulls {
    /// So many run at a time, besides those that have stalled.
    parallel: usize,
    /// By image, named in full: waiting for their turn, or running.
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
    runs: Option<Run>,
}

#[derive(Debug)]
struct Run {
    stop: CancellationToken,
    /// When it began or last fetched something.
    moved: Instant,
}

impl Pull {
    /// Whether it takes one of the turns there are. One that has fetched everything unpacks it.
    fn has_turn(&self, now: Instant) -> bool {
        let PullProgress { done, total } = self.progress;
        let fetched = total > 0 && done >= total;
        let moves = |run: &Run| fetched || now.duration_since(run.moved) < STALLED;
        self.runs.as_ref().is_some_and(moves)
    }
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
                let image = wish.image.to_string();
                let pull = self.open.entry(image.clone()).or_insert_with(|| {
                    self.waiting.push_back(image.clone());
                    Pull {
                        wish,
                        since: now,
                        progress: PullProgress::default(),
                        wanted_by: BTreeSet::new(),
                        runs: None,
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
            return match pull.runs {
                None => Answer::Waiting,
                Some(_) if !pull.wish.is_pulled => Answer::Unpacking,
                Some(_) => Answer::Running {
                    since: pull.since,
                    progress: pull.progress,
                },
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
            if let (false, Some(run)) = (wanted, &pull.runs) {
                run.stop.cancel();
            }
            wanted
        });
        self.waiting.retain(|image| self.open.contains_key(image));
    }

    /// The pulls whose turn it is.
    pub fn due(&mut self, now: Instant) -> Vec<PullWish> {
        let running = self.open.values().filter(|p| p.has_turn(now)).count();
        let free = self
            .parallel
            .saturating_sub(running)
            .min(self.waiting.len());
        let due = self.waiting.drain(..free);
        due.filter_map(|image| Some(self.open.get(&image)?.wish.clone()))
            .collect()
    }

    /// Notes that a pull runs; what it returns is cancelled when nobody wants it any more.
    pub fn started(&mut self, image: &str, now: Instant) -> CancellationToken {
        let stop = CancellationToken::new();
        if let Some(pull) = self.open.get_mut(image) {
            pull.runs = Some(Run {
                stop: stop.clone(),
                moved: now,
            });
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
        let running = self.open.iter().filter(|(_, p)| p.runs.is_some());
        running.map(|(image, _)| image.clone()).collect()
    }

    /// Notes the bytes of running pulls; the images there is news of.
    pub fn progress(&mut self, bytes: Progress, now: Instant) -> Vec<String> {
        let mut news = Vec::new();
        for (image, progress) in bytes {
            if let Some(pull) = self.open.get_mut(&image)
                && pull.progress != progress
            {
                pull.progress = progress;
                if let Some(run) = &mut pull.runs {
                    run.moved = now;
                }
                news.push(image);
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ImageName;
    use tokio::sync::oneshot;

    const DONE: Pulled = Pulled::Done {
        took: Some(Duration::ZERO),
    };

    fn begin(pulls: &mut Pulls, uid: &str, image: &str) -> Answer {
        let wish = PullWish {
            image: ImageName::parse(image).unwrap(),
            is_pulled: true,
            sandbox: None,
            auth: Vec::new(),
        };
        let (reply, mut answer) = oneshot::channel();
        pulls.take(Request::Begin(Uid::new(uid), wish, reply), now());
        answer.try_recv().unwrap()
    }

    fn full(image: &str) -> String {
        ImageName::in_full(image)
    }

    fn ask(pulls: &mut Pulls, uid: &str, image: &str) -> Answer {
        let (reply, mut answer) = oneshot::channel();
        pulls.take(
            Request::Ask(Uid::new(uid), ImageName::in_full(image), reply),
            now(),
        );
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
        start_at(pulls, Instant::now())
    }

    fn start_at(pulls: &mut Pulls, now: Instant) -> Vec<String> {
        let due = pulls.due(now).into_iter().map(|w| w.image);
        let due = due.inspect(|image| drop(pulls.started(&image.to_string(), now)));
        due.map(|image| image.path().replace("library/", ""))
            .collect()
    }

    #[test]
    fn pods_share_a_pull_and_each_is_told_its_end_once() {
        let mut pulls = Pulls::new(3);
        assert_eq!(ask(&mut pulls, "p", "a"), Answer::Unknown);
        assert_eq!(begin(&mut pulls, "p", "a"), Answer::Waiting);
        assert_eq!(begin(&mut pulls, "q", "docker.io/a"), Answer::Waiting);
        assert_eq!(ask(&mut pulls, "r", "a"), Answer::Unknown);
        assert_eq!(start(&mut pulls), ["a"]);
        assert_eq!(ask(&mut pulls, "q", "a"), running(0, 0));
        assert_eq!(start(&mut pulls), [""; 0]);
        pulls.end(&full("a"), &DONE);
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
        pulls.end(&full("d"), &DONE);
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
        pulls.end(&full("a"), &DONE);
        assert_eq!(start(&mut pulls), ["b"]);
    }

    #[test]
    fn a_pull_is_stopped_when_the_last_pod_takes_its_wish_back() {
        let mut pulls = Pulls::new(3);
        for (uid, image) in [("p", "a"), ("q", "a"), ("p", "b")] {
            begin(&mut pulls, uid, image);
        }
        pulls.due(Instant::now());
        let stop = pulls.started(&full("a"), Instant::now());
        pulls.started(&full("b"), Instant::now());
        pulls.take(Request::Release(Uid::new("p"), [full("b")].into()), now());
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
        let news = |pulls: &mut Pulls, done| {
            let bytes = [(full("a"), PullProgress { done, total: 9 })].into();
            pulls.progress(bytes, Instant::now())
        };
        begin(&mut pulls, "p", "a");
        assert_eq!(pulls.running(), [""; 0]);
        start(&mut pulls);
        assert_eq!(pulls.running(), [full("a")]);
        assert_eq!(news(&mut pulls, 2), [full("a")]);
        assert_eq!(news(&mut pulls, 2), [""; 0]);
        assert_eq!(ask(&mut pulls, "p", "a"), running(2, 9));
        pulls.end(&full("a"), &DONE);
        assert_eq!(news(&mut pulls, 3), [""; 0]);
    }

    #[test]
    fn pulls_that_have_stalled_hold_up_nobody_else() {
        let mut pulls = Pulls::new(2);
        for image in ["a", "b", "c", "d", "e"] {
            begin(&mut pulls, "p", image);
        }
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let bytes =
            |image, done| -> Progress { [(full(image), PullProgress { done, total: 9 })].into() };
        assert_eq!(start_at(&mut pulls, begun), ["a", "b"]);
        assert_eq!(ask(&mut pulls, "p", "c"), Answer::Waiting);
        pulls.progress(bytes("a", 4), after(5));
        assert_eq!(start_at(&mut pulls, after(9)), [""; 0]);
        // The other one has not moved.
        assert_eq!(start_at(&mut pulls, after(10)), ["c"]);
        assert_eq!(start_at(&mut pulls, after(15)), ["d"]);
        // One that goes on has its turn again, and one that has everything keeps it.
        pulls.progress(bytes("b", 1), after(16));
        pulls.progress(bytes("d", 9), after(17));
        assert_eq!(start_at(&mut pulls, after(25)), [""; 0]);
        assert_eq!(start_at(&mut pulls, after(26)), ["e"]);
    }
}
