//! Work that has a thread of its own: the coordinator's, which waits for the state disk as long as that
//! takes, and what others see of it meanwhile.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::{Blocking, Inner, LOOK, Lane, Progress, Unanswered, UnderWay};

impl Blocking {
    /// Runs a future on a thread of its own, where it may block: nobody else waits then. To be called
    /// within the runtime, whose timers and channels it uses. The thread is not waited for when the
    /// process ends.
    ///
    /// # Panics
    /// Where the future does; the panic comes out of what is returned.
    #[expect(clippy::disallowed_methods, reason = "the room's own threads")]
    pub fn thread<F: Future<Output = ()>, M: FnOnce() -> F + Send + 'static>(
        make: M,
    ) -> impl Future<Output = ()> + use<F, M> {
        let runtime = Handle::current();
        let thread = spawn_blocking(move || runtime.block_on(make()));
        async move {
            match thread.await {
                Ok(()) => {}
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                // The process ends.
                Err(_) => std::future::pending().await,
            }
        }
    }

    /// Does work on the caller's own thread, for as long as it takes, as a job of a lane: so it is seen
    /// that it is under way, and that it hangs. Waits for the lane's other jobs.
    pub fn here<T>(&self, lane: &Lane, work: impl FnOnce(&Progress) -> T) -> T {
        let progress = loop {
            match self.inner.try_begin(lane) {
                Ok(progress) => break progress,
                Err(_) => std::thread::sleep(LOOK),
            }
        };
        let _under_way = UnderWay {
            inner: self.inner.clone(),
            lane: lane.name.clone(),
        };
        work(&progress)
    }

    /// Whether a job of the lane is under way.
    #[must_use]
    pub fn is_busy(&self, lane: &Lane) -> bool {
        self.inner.lock().contains_key(&lane.name)
    }

    /// The agent's own lanes whose threads hang, once they are others than `known`.
    pub async fn own_hung(&self, known: &[Unanswered]) -> Vec<Unanswered> {
        let mut changed = self.inner.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let (hung, next) = self.inner.own_hung();
            if hung != known {
                return hung;
            }
            let change = changed.changed();
            match next {
                Some(next) => drop(tokio::time::timeout(next, change).await),
                None => drop(change.await),
            }
        }
    }
}

impl Inner {
    /// The own lanes that hang, and when the next may.
    fn own_hung(&self) -> (Vec<Unanswered>, Option<Duration>) {
        let jobs = self.lock();
        let own = jobs.iter().filter(|(_, job)| job.own);
        let (hung, busy): (Vec<_>, Vec<_>) = own.partition(|(_, job)| self.hangs(job));
        let hung = hung.into_iter();
        let hung = hung.map(|(lane, job)| job.progress.unanswered(lane));
        let left = |job: &super::Job| self.limits.hung.saturating_sub(job.progress.silent());
        let next = busy.into_iter().map(|(_, job)| left(job)).min();
        (hung.collect(), next)
    }
}
