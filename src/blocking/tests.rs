//! The room with work that hangs until it is let go.

use std::sync::mpsc;

use futures_util::future::{FutureExt, join_all};

use super::*;

/// Short enough for a test, and long enough for a busy machine.
const LIMITS: Limits = Limits {
    at_once: 2,
    slow: Duration::from_millis(20),
    long: Duration::from_secs(1),
    hung: Duration::from_secs(2),
    most_hung: 3,
};

/// Runs on one thread as the agent does, and ends without waiting for threads.
fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(test);
    runtime.shutdown_background();
}

/// Work that hangs until the sender is dropped, and then tells whether it was asked to stop.
fn hanging() -> (
    mpsc::Sender<()>,
    impl FnOnce(&Progress) -> bool + Send + 'static,
) {
    let (free, hangs) = mpsc::channel::<()>();
    let work = move |progress: &Progress| {
        progress.begin("volume \"data\" (/mnt)").expect("it begins");
        hangs.recv().ok();
        progress.is_stopped()
    };
    (free, work)
}

#[test]
fn work_answers_and_a_lane_does_one_thing_at_a_time() {
    block_on(async {
        let room = Blocking::new(LIMITS);
        let order = Arc::new(Mutex::new(Vec::new()));
        let jobs = (0..20).map(|n| {
            let order = Arc::clone(&order);
            room.run(format!("pod {}", n % 2), move |_| {
                let mut under_way = order.lock().expect("no panic");
                under_way.push(n);
                n * 2
            })
        });
        let answers: Vec<_> = join_all(jobs).await;
        assert_eq!(answers, (0..20).map(|n| Ok(n * 2)).collect::<Vec<_>>());
        assert_eq!(order.lock().expect("no panic").len(), 20);
        let (entered, inside) = mpsc::channel();
        let second = entered.clone();
        let (free, hangs) = mpsc::channel::<()>();
        let first = room.run("pod", move |_| {
            entered.send("first begins").expect("heard");
            hangs.recv().ok();
            entered.send("first ends").expect("heard");
        });
        let second = room.run("pod", move |_| second.send("second").expect("heard"));
        let let_go = async { drop(free) };
        let (first, second, ()) = tokio::join!(first, second, let_go);
        assert_eq!((first, second), (Ok(()), Ok(())));
        assert_eq!(
            inside.iter().collect::<Vec<_>>(),
            ["first begins", "first ends", "second"]
        );
    });
}

#[test]
fn work_that_ended_long_ago_did_not_hang() {
    block_on(async {
        let room = Blocking::new(Limits {
            hung: Duration::from_millis(50),
            ..LIMITS
        });
        for _ in 0..20 {
            let (begin, waits) = mpsc::channel::<()>();
            let (tell, told) = mpsc::channel();
            let mut job = Box::pin(room.run("pod", move |_| {
                waits.recv().ok();
                tell.send(()).is_ok()
            }));
            assert!(job.as_mut().now_or_never().is_none());
            drop(begin);
            told.recv().expect("it ended");
            // Like a stream whose reader does not read on.
            std::thread::sleep(Duration::from_millis(60));
            assert_eq!(job.await, Ok(true));
        }
    });
}

#[test]
fn a_lane_that_hangs_says_so_and_others_go_on() {
    block_on(async {
        let room = Blocking::new(LIMITS);
        let (free, work) = hanging();
        let why = room.run("pod a", work).await.expect_err("it hangs");
        let Unanswered::Hung { lane, doing, .. } = &why else {
            panic!("{why}");
        };
        assert_eq!(
            (lane.as_str(), doing.as_str()),
            ("pod a", "volume \"data\" (/mnt)")
        );
        assert!(
            why.to_string()
                .starts_with("volume \"data\" (/mnt) does not answer since "),
            "{why}"
        );
        // At once, in the same words, and without another thread.
        assert_eq!(room.run("pod a", |_| ()).await, Err(why.clone()));
        assert_eq!(room.hung(), [why]);
        assert_eq!(room.run("pod b", |_| 7).await, Ok(7));
        drop(free);
        while !room.hung().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(room.run("pod a", |_| 8).await, Ok(8));
    });
}

#[test]
fn work_that_makes_steps_does_not_hang_and_hears_that_it_is_to_stop() {
    block_on(async {
        let room = Blocking::new(LIMITS);
        let (ended, stopped) = mpsc::channel();
        let work = move |progress: &Progress| {
            while progress.step().is_ok() {
                std::thread::sleep(Duration::from_millis(1));
            }
            ended.send(()).expect("heard");
        };
        let asked = room.run("pod", work);
        let dropped = tokio::time::timeout(LIMITS.hung * 3 / 2, asked).await;
        assert!(dropped.is_err(), "it neither ends nor hangs");
        assert_eq!(room.run("pod", |_| 1).await, Ok(1));
        assert_eq!(stopped.recv(), Ok(()));
    });
}

#[test]
fn what_hangs_uses_up_no_turns_and_its_number_is_bounded() {
    block_on(async {
        let room = Blocking::new(LIMITS);
        let (kept, jobs): (Vec<_>, Vec<_>) = (0..LIMITS.most_hung)
            .map(|n| {
                let (free, work) = hanging();
                (free, room.run(format!("pod {n}"), work))
            })
            .unzip();
        let other = async {
            // Behind all of them, and more hang than there are turns.
            tokio::task::yield_now().await;
            room.run("pod x", |_| 1).await
        };
        let (hung, other) = tokio::join!(join_all(jobs), other);
        assert!(hung.iter().all(Result::is_err), "{hung:?}");
        assert_eq!(other, Ok(1));
        let why = room.run("pod y", |_| ()).await.expect_err("too many");
        assert_eq!(
            why.to_string(),
            "pod y must wait: 3 threads hang in file systems that do not answer"
        );
        assert_eq!(room.run(Lane::own("store"), |_| 2).await, Ok(2));
        drop(kept);
        while !room.hung().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(room.run("pod y", |_| 3).await, Ok(3));
    });
}

#[test]
fn many_at_once_take_turns() {
    block_on(async {
        let limits = Limits {
            hung: Duration::from_secs(60),
            slow: Duration::from_secs(60),
            long: Duration::from_secs(60),
            ..LIMITS
        };
        let room = Blocking::new(limits);
        let under_way = Arc::new(Mutex::new((0, 0)));
        let jobs = (0..30).map(|n| {
            let under_way = Arc::clone(&under_way);
            let count = move |by: i32| {
                let mut count = under_way.lock().expect("no panic");
                count.0 += by;
                count.1 = count.1.max(count.0);
            };
            room.run(format!("pod {n}"), move |_| {
                count(1);
                std::thread::sleep(Duration::from_millis(1));
                count(-1);
            })
        });
        assert!(join_all(jobs).await.iter().all(Result::is_ok));
        let most = under_way.lock().expect("no panic").1;
        assert!(most <= 2, "{most} at once");
    });
}

#[test]
#[should_panic(expected = "the work's own")]
fn a_panic_is_the_askers() {
    block_on(async {
        let room = Blocking::default();
        room.run("pod", |_| panic!("the work's own")).await.ok();
    });
}

#[test]
fn work_on_a_thread_of_its_own_is_seen_to_hang_and_holds_up_nobody() {
    block_on(async {
        let room = Blocking::new(LIMITS);
        let lane = Lane::own("state directory");
        let (free, work) = hanging();
        let of_thread = (room.clone(), lane.clone());
        let thread = Blocking::thread(move || async move {
            let (room, lane) = of_thread;
            // The runtime's clock goes on there too.
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert!(!room.here(&lane, work), "nobody asks it to stop");
        });
        let other = async {
            let hung = room.own_hung(&[]).await;
            let named =
                |hung: &[Unanswered]| hung.iter().map(ToString::to_string).collect::<String>();
            assert!(named(&hung).starts_with("volume \"data\" (/mnt) does not answer since "));
            assert!(room.is_busy(&lane));
            drop(free);
            assert_eq!(room.own_hung(&hung).await, []);
            assert!(!room.is_busy(&lane));
        };
        tokio::join!(thread, other);
    });
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "who asks is on a thread that may wait"
)]
fn who_asks_waits_while_steps_are_made_and_takes_no_turn() {
    block_on(async {
        let limits = Limits {
            slow: Duration::from_secs(60),
            long: Duration::from_secs(60),
            ..LIMITS
        };
        let room = Blocking::new(limits);
        let (_kept, jobs): (Vec<_>, Vec<_>) = (0..limits.at_once)
            .map(|n| {
                let (free, work) = hanging();
                (free, room.run(format!("pod {n}"), work))
            })
            .unzip();
        let runtime = tokio::runtime::Handle::current();
        let asker = room.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let _runtime = runtime.enter();
            let patience = Duration::from_millis(500);
            asker.ask(Lane::own("manifests /m"), patience, |progress| {
                let begun = progress.age();
                while progress.age() < begun + Duration::from_millis(1500) {
                    std::thread::sleep(Duration::from_millis(10));
                    progress.step().expect("it goes on");
                }
                7
            })
        });
        let (answer, _hung) = tokio::join!(asked, join_all(jobs));
        assert_eq!(answer.expect("no panic"), Ok(7));
    });
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "who asks is on a thread that may wait"
)]
fn a_panic_of_what_is_asked_is_no_silence() {
    block_on(async {
        let room = Blocking::default();
        let runtime = tokio::runtime::Handle::current();
        let asked = tokio::task::spawn_blocking(move || {
            let _runtime = runtime.enter();
            let patience = Duration::from_secs(60);
            let work = |_: &Progress| -> () { panic!("its own") };
            room.ask(Lane::own("manifests /m"), patience, work)
        });
        assert!(asked.await.expect_err("it panics").is_panic());
    });
}
