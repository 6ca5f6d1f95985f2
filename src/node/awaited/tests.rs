//! Files and sockets that come and go under a watch.

use std::os::unix::net::{UnixDatagram, UnixListener};

use super::*;
use crate::model::Found;

struct Watch {
    dir: tempfile::TempDir,
    wanted: watch::Sender<BTreeSet<Condition>>,
    found: watch::Receiver<Arc<HostConditions>>,
    cancel: CancellationToken,
}

impl Watch {
    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn want(&self, conditions: &[&Condition]) {
        let wanted = conditions.iter().map(|c| (*c).clone()).collect();
        self.wanted.send_replace(wanted);
    }

    /// Waits until the condition was found so; well within a period, so by an event.
    async fn soon(&mut self, condition: &Condition, met: bool) {
        let is_so = |found: &Arc<HostConditions>| {
            found
                .get(condition)
                .is_some_and(|found| (*found == Found::Met) == met)
        };
        let wait = self.found.wait_for(is_so);
        let found = tokio::time::timeout(Duration::from_secs(10), wait).await;
        found.expect("it was found so").expect("the watch runs");
    }
}

async fn with_watch<T>(body: impl AsyncFnOnce(Watch) -> T) -> T {
    let (wanted, asked) = watch::channel(BTreeSet::new());
    let (answers, found) = watch::channel(Arc::default());
    let watch = Watch {
        dir: tempfile::tempdir().expect("a directory"),
        wanted,
        found,
        cancel: CancellationToken::new(),
    };
    let watching = watch_conditions(asked, answers, watch.cancel.clone());
    tokio::select! {
        () = watching => panic!("it is not cancelled"),
        done = body(watch) => done,
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_path_is_seen_wherever_it_grows() {
    with_watch(async |mut watch: Watch| {
        let deep = Condition::Path(watch.path("a/b/c"));
        watch.want(&[&deep]);
        watch.soon(&deep, false).await;
        std::fs::create_dir_all(watch.path("a/b")).expect("directories");
        std::os::unix::fs::symlink("nowhere", watch.path("a/b/c")).expect("a link");
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_ne!(
            watch.found.borrow().get(&deep),
            Some(&Found::Met),
            "it dangles"
        );
        std::fs::create_dir(watch.path("a/b/nowhere")).expect("its target");
        watch.soon(&deep, true).await;
        std::fs::remove_dir_all(watch.path("a")).expect("all of it goes");
        watch.soon(&deep, false).await;

        watch.want(&[]);
        let empty = watch.found.wait_for(|found| found.is_empty()).await;
        assert!(empty.is_ok(), "nothing is known of what nobody asks for");
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_socket_counts_when_somebody_listens() {
    with_watch(async |mut watch: Watch| {
        let (stream, datagram) = (watch.path("s"), watch.path("d"));
        let [of_stream, of_datagram] = [&stream, &datagram].map(|p| Condition::Socket(p.clone()));
        watch.want(&[&of_stream, &of_datagram]);
        watch.soon(&of_stream, false).await;
        let listener = UnixListener::bind(&stream).expect("a socket");
        watch.soon(&of_stream, true).await;
        drop(listener);
        watch.soon(&of_stream, false).await;
        let why = format!("{:?}", watch.found.borrow()[&of_stream]);
        assert!(why.contains("nobody listens"), "{why}");
        let _bound = UnixDatagram::bind(&datagram).expect("a socket");
        watch.soon(&of_datagram, true).await;
    })
    .await;
}
