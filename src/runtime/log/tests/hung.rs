//! Logs whose filesystem does not answer.

use std::sync::mpsc;

use super::*;
use crate::blocking::{Lane, Limits};
use crate::runtime::log::rotation::{Size, sizes};

/// A room one lane of which hangs until the sender is dropped.
async fn hanging(lane: impl Into<Lane>) -> (Blocking, mpsc::Sender<()>) {
    let room = Blocking::new(Limits {
        hung: Duration::from_millis(100),
        ..Limits::default()
    });
    let (free, hangs) = mpsc::channel::<()>();
    let work = room.run(lane, move |_| hangs.recv().is_ok());
    assert!(work.await.is_err());
    (room, free)
}

async fn first(path: PathBuf, blocking: &Blocking) -> io::Result<Line> {
    let options = Options {
        blocking: blocking.clone(),
        ..Options::default()
    };
    let mut lines = Box::pin(read(path, options));
    lines.next().await.unwrap()
}

#[tokio::test]
async fn a_log_that_does_not_answer_holds_up_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let [dead, well] = ["dead.log", "well.log"].map(|name| dir.path().join(name));
    append(&well, &format!("{T}1Z stdout F a\n"));
    let (room, free) = hanging(format!("the log {}", dead.display())).await;
    let why = first(dead.clone(), &room).await.unwrap_err().to_string();
    assert!(why.contains(" does not answer since "), "{why}");
    assert_eq!(first(well, &room).await.unwrap().text, "a\n");
    drop(free);
}

#[tokio::test]
async fn watches_that_do_not_answer_are_done_without() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0.log");
    append(&path, &format!("{T}1Z stdout F a\n"));
    let (room, free) = hanging(Lane::own("the watches of container logs")).await;
    let options = Options {
        follow: Some(CancellationToken::new()),
        blocking: room,
        ..Options::default()
    };
    let mut lines = Box::pin(read(path.clone(), options));
    assert_eq!(lines.next().await.unwrap().unwrap().text, "a\n");
    append(&path, &format!("{T}2Z stdout F b\n"));
    assert_eq!(lines.next().await.unwrap().unwrap().text, "b\n");
    drop(free);
}

#[tokio::test]
async fn sizes_of_logs_that_do_not_answer_are_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let paths: Arc<[PathBuf]> = Arc::new([dir.path().join("0.log")]);
    let (room, free) = hanging(Lane::own("the sizes of container logs")).await;
    let why = sizes(&room, Arc::clone(&paths)).await.unwrap_err();
    assert!(why.to_string().contains(" does not answer since "), "{why}");
    drop(free);
    // It answers again: what comes next is not refused for good.
    let answered = async {
        loop {
            if let Ok(sizes) = sizes(&room, Arc::clone(&paths)).await {
                return sizes;
            }
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(answered.await, [Size::Missing]);
}
