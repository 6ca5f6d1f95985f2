//! The schedule on virtual time, and the askers against servers of the test's own.

mod bounds;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::http::{self, Url};
use super::{Ask, Schedule, grpc, run, tcp};
use crate::api::ContainerName;
use crate::clock::After;
use crate::model::{
    Answer, Check, ContainerId, ProbeFailure, ProbeKind, ProbeResults, ProbeTarget, ProbeTiming,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).expect("in range")
}

fn target(kind: ProbeKind, initial_delay: u64) -> ProbeTarget {
    ProbeTarget {
        id: ContainerId("c".to_owned()),
        container: ContainerName::new("c"),
        started_at: at(0),
        kind,
        check: Check::Exec {
            command: Vec::new(),
        },
        timing: ProbeTiming {
            initial_delay: Duration::from_secs(initial_delay),
            period: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            successes: 1,
            failures: 3,
        },
    }
}

fn failure() -> Answer {
    Answer::Failure("no".to_owned())
}

/// Asks whatever is due until `until`; `answer` says what is answered to which probe when. Returns
/// the times and kinds of the probes.
fn ask_until(
    schedule: &mut Schedule,
    until: i64,
    answer: impl Fn(ProbeKind, i64) -> Answer,
) -> Vec<(i64, ProbeKind)> {
    let mut asked = Vec::new();
    while let Some(next) = schedule.next_at().filter(|next| *next <= at(until)) {
        let second = next.as_second() - 1_000_000;
        for target in schedule.take_due(next) {
            asked.push((second, target.kind));
            let answer = answer(target.kind, second);
            schedule.record(&(target.id, target.kind), &answer, next, next);
        }
    }
    asked
}

fn times(asked: &[(i64, ProbeKind)], kind: ProbeKind) -> Vec<i64> {
    let of = asked.iter().filter(|(_, k)| *k == kind);
    of.map(|(second, _)| *second).collect()
}

fn results(schedule: &Schedule) -> ProbeResults {
    let results = schedule.results();
    results
        .get(&ContainerId("c".to_owned()))
        .cloned()
        .expect("the container's results")
}

#[test]
fn readiness_is_asked_at_once_and_liveness_after_a_period() {
    let mut schedule = Schedule::default();
    let targets = [
        target(ProbeKind::Readiness, 0),
        target(ProbeKind::Liveness, 0),
    ];
    schedule.set_targets(&targets, at(0));
    let asked = ask_until(&mut schedule, 35, |_, _| Answer::Success);
    assert_eq!(times(&asked, ProbeKind::Readiness), [0, 10, 20, 30]);
    assert_eq!(times(&asked, ProbeKind::Liveness), [10, 20, 30]);
    let ready = ProbeResults {
        readiness: Some(true),
        changed_at: Some(at(0)),
        ..ProbeResults::default()
    };
    assert_eq!(results(&schedule), ready);
}

#[test]
fn the_delay_is_counted_from_the_containers_start() {
    let mut schedule = Schedule::default();
    let targets = [
        target(ProbeKind::Readiness, 7),
        target(ProbeKind::Liveness, 25),
    ];
    schedule.set_targets(&targets, at(3));
    let asked = ask_until(&mut schedule, 30, |_, _| Answer::Success);
    assert_eq!(times(&asked, ProbeKind::Readiness), [7, 17, 27]);
    assert_eq!(times(&asked, ProbeKind::Liveness), [25]);
}

#[test]
fn failures_count_in_a_row_and_a_failed_liveness_probe_rests() {
    let mut schedule = Schedule::default();
    schedule.set_targets(&[target(ProbeKind::Liveness, 0)], at(0));
    let asked = ask_until(&mut schedule, 200, |_, second| {
        if second == 30 {
            Answer::Success
        } else {
            failure()
        }
    });
    assert_eq!(times(&asked, ProbeKind::Liveness), [10, 20, 30, 40, 50, 60]);
    let failed = ProbeFailure {
        kind: ProbeKind::Liveness,
        message: "no".to_owned(),
    };
    assert_eq!(results(&schedule).failed, Some(failed));
    assert_eq!(schedule.next_at(), None);

    // Another container begins anew.
    let next = ProbeTarget {
        id: ContainerId("c2".to_owned()),
        started_at: at(61),
        ..target(ProbeKind::Liveness, 0)
    };
    schedule.set_targets(&[next], at(61));
    assert_eq!(schedule.next_at(), Some(at(71)));
    assert_eq!(schedule.results().len(), 1);
}

#[test]
fn what_could_not_be_asked_counts_for_nothing() {
    let mut schedule = Schedule::default();
    schedule.set_targets(&[target(ProbeKind::Liveness, 0)], at(0));
    ask_until(&mut schedule, 100, |_, second| {
        if second % 20 == 0 {
            Answer::Unknown("away".to_owned())
        } else {
            failure()
        }
    });
    assert!(results(&schedule).failed.is_some(), "10, 30 and 50 failed");
}

#[test]
fn thresholds_of_readiness_go_both_ways() {
    let mut schedule = Schedule::default();
    let mut readiness = target(ProbeKind::Readiness, 0);
    readiness.timing.successes = 2;
    schedule.set_targets(&[readiness], at(0));
    let well = |_, second| match second {
        0 | 10 | 60.. => Answer::Success,
        _ => failure(),
    };
    ask_until(&mut schedule, 5, well);
    assert_eq!(results(&schedule).readiness, None);
    for (until, ready, since) in [(15, true, 10), (35, true, 10), (45, false, 40)] {
        ask_until(&mut schedule, until, well);
        assert_eq!(results(&schedule).readiness, Some(ready), "at {until}");
        assert_eq!(results(&schedule).changed_at, Some(at(since)));
    }
    ask_until(&mut schedule, 75, well);
    assert_eq!(results(&schedule).readiness, Some(true));
}

#[test]
fn startup_holds_the_others_back_and_then_rests() {
    let mut schedule = Schedule::default();
    let targets = [
        target(ProbeKind::Startup, 0),
        target(ProbeKind::Liveness, 0),
        target(ProbeKind::Readiness, 0),
    ];
    schedule.set_targets(&targets, at(0));
    let asked = ask_until(&mut schedule, 60, |kind, second| match (kind, second) {
        (ProbeKind::Startup, ..20) => failure(),
        _ => Answer::Success,
    });
    assert_eq!(times(&asked, ProbeKind::Startup), [0, 10, 20]);
    assert_eq!(times(&asked, ProbeKind::Readiness)[0], 20);
    let liveness = times(&asked, ProbeKind::Liveness)[0];
    assert!((20..=30).contains(&liveness), "{liveness}");
    assert_eq!(results(&schedule).startup, Some(true));

    let mut schedule = Schedule::default();
    schedule.set_targets(&targets, at(0));
    let asked = ask_until(&mut schedule, 60, |_, _| failure());
    assert_eq!(asked.len(), 3, "{asked:?}");
    let failed = results(&schedule).failed.expect("a failed probe");
    assert_eq!(failed.kind, ProbeKind::Startup);
}

#[test]
fn a_probe_that_is_being_asked_is_not_asked_again() {
    let mut schedule = Schedule::default();
    schedule.set_targets(&[target(ProbeKind::Readiness, 0)], at(0));
    assert_eq!(schedule.take_due(at(0)).len(), 1);
    schedule.set_targets(&[target(ProbeKind::Readiness, 0)], at(5));
    assert!(schedule.take_due(at(50)).is_empty());
    let key = (ContainerId("c".to_owned()), ProbeKind::Readiness);
    schedule.record(&key, &Answer::Success, at(0), at(25));
    assert_eq!(schedule.next_at(), Some(at(25)), "late, and so at once");
}

/// Serves these answers one after the other on a port of its own; what it was asked.
async fn serve(listener: TcpListener, answers: &[&str]) -> Vec<String> {
    let mut asked = Vec::new();
    for answer in answers {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = vec![0; 4096];
        let read = stream.read(&mut request).await.expect("a request");
        asked.push(String::from_utf8_lossy(&request[..read]).into_owned());
        let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.expect("answered");
    }
    asked
}

async fn probe(answers: &[&str], path: &str, headers: &[(&str, &str)]) -> (Answer, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let headers: Vec<_> = headers
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
        .collect();
    let url = Url::new(false, "127.0.0.1", port, path);
    let headers = http::probe_headers(&headers, false);
    let (answer, asked) = tokio::join!(http::ask(url, headers, soon()), serve(listener, answers));
    let port = format!("127.0.0.1:{port}");
    let asked = asked.iter().map(|a| a.replace(&port, "HOST")).collect();
    (answer, asked)
}

#[tokio::test]
async fn a_request_is_kubelets() {
    let (answer, asked) = probe(&["200 OK"], "/h?a=b c#d", &[]).await;
    assert_eq!(answer, Answer::Success);
    assert_eq!(
        asked,
        [
            "GET /h?a=b%20c HTTP/1.1\r\nHost: HOST\r\nUser-Agent: kube-probe/1.36\r\nAccept: */*\r\n\
             Connection: close\r\n\r\n"
        ]
    );
    let own = [("host", "x.example"), ("X-A", "b"), ("accept", "")];
    let (_, asked) = probe(&["200 OK"], "", &own).await;
    assert!(
        asked[0].starts_with("GET / HTTP/1.1\r\nHost: x.example\r\n"),
        "{asked:?}"
    );
    assert!(
        asked[0].contains("X-A: b\r\n") && !asked[0].contains("Accept"),
        "{asked:?}"
    );
}

#[tokio::test]
async fn statuses_below_400_are_success_and_redirects_stay_on_the_host() {
    assert_eq!(probe(&["399 x"], "/", &[]).await.0, Answer::Success);
    let failed = Answer::Failure("HTTP probe failed with statuscode: 400".to_owned());
    assert_eq!(probe(&["400 x"], "/", &[]).await.0, failed);
    let elsewhere = "302 x\r\nLocation: http://other.example/x";
    assert_eq!(probe(&[elsewhere], "/", &[]).await.0, Answer::Success);
    let (answer, asked) = probe(&["302 x\r\nLocation: /b", "500 x"], "/a", &[]).await;
    assert!(matches!(answer, Answer::Failure(_)), "{answer:?}");
    assert!(asked[1].starts_with("GET /b "), "{asked:?}");
    assert!(asked[1].contains("Referer: http://HOST/a\r\n"), "{asked:?}");
}

#[tokio::test]
async fn nobody_at_a_port_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    assert_eq!(tcp::ask("127.0.0.1", port).await, Answer::Success);
    drop(listener);
    assert!(matches!(
        tcp::ask("127.0.0.1", port).await,
        Answer::Failure(_)
    ));
    let url = Url::new(false, "127.0.0.1", port, "/");
    let answer = http::ask(url, http::probe_headers(&[], false), soon()).await;
    assert!(matches!(answer, Answer::Failure(_)), "{answer:?}");
    let second = Duration::from_secs(1);
    let said = format!(
        "timeout: failed to connect service \"127.0.0.1:{port}\" within 1s: context deadline exceeded"
    );
    let answer = super::grpc::ask("127.0.0.1", port, "", second).await;
    assert_eq!(answer, Answer::Failure(said));
}

/// A deadline that no test comes to by itself.
fn soon() -> tokio::time::Instant {
    tokio::time::Instant::now().after(Duration::from_secs(60))
}

/// Asks over HTTP, at one port for all.
struct Http(u16);

impl Ask for Http {
    async fn ask(&self, _: &ContainerId, _: &Check, _: Duration) -> Answer {
        let url = Url::new(false, "127.0.0.1", self.0, "/");
        http::ask(url, http::probe_headers(&[], false), soon()).await
    }
}

/// The processor time of this thread, in clock ticks of 10 ms.
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("the thread");
    let fields: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .into_iter()
        .flat_map(|s| s.split(' '))
        .collect();
    let field = |index: usize| fields[index].parse::<u64>().expect("a number");
    field(11) + field(12)
}

/// Answers every request on a port of its own, on a thread of its own, until the test ends.
#[expect(clippy::disallowed_methods, reason = "a server of a test")]
fn serve_all() -> u16 {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let read = stream.read(&mut [0; 1024]);
            read.expect("a request");
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(answer).ok();
        }
    });
    port
}

/// 200 containers with a liveness and a readiness probe a second each, ten times as often as
/// Kubernetes' default.
#[tokio::test]
#[ignore = "measures; meant for an optimised build"]
async fn two_hundred_probed_containers() {
    let port = serve_all();
    let asker = Http(port);
    let begun = Timestamp::now();
    let mut senders = Vec::new();
    let mut all = futures_util::stream::FuturesUnordered::new();
    for pod in 0..200 {
        let targets = [ProbeKind::Readiness, ProbeKind::Liveness].map(|kind| {
            let mut target = target(kind, 0);
            target.id = ContainerId(format!("c{pod}"));
            target.started_at = begun;
            target.timing.period = Duration::from_secs(1);
            target
        });
        let (wanted, targets_heard) = watch::channel(Arc::new(Vec::new()));
        let (results, told) = watch::channel(Arc::default());
        wanted.send_replace(Arc::new(targets.to_vec()));
        senders.push((wanted, told));
        all.push(run(
            &asker,
            targets_heard,
            results,
            Timestamp::now,
            |_, _| {},
        ));
    }
    let before = ticks();
    let ten = Duration::from_secs(10);
    let ended = tokio::time::timeout(ten, futures_util::StreamExt::next(&mut all)).await;
    assert!(ended.is_err(), "they go on");
    let ready = senders.iter().filter(|(_, told)| {
        let told = told.borrow();
        told.values().all(|results| results.readiness == Some(true)) && !told.is_empty()
    });
    assert_eq!(ready.count(), 200);
    println!(
        "{} ms of 10 s for 400 probes a second",
        (ticks() - before) * 10
    );
}
