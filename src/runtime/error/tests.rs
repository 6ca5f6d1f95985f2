//! What is told of errors, and whether repeating helps.

use super::*;

fn run_sandbox(source: Status) -> Error {
    Error::RunSandbox {
        pod: "default/a".into(),
        source,
    }
}

#[test]
fn answers_are_told_from_lost_connections_by_their_origin() {
    let answer = run_sandbox(Status::unknown("failed to reserve"));
    assert!(!answer.is_connection_lost());
    assert_eq!(answer.reason().word, "FailedCreatePodSandBox");
    assert_eq!(answer.retry(), Retry::Backoff);

    let cut = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    let lost = run_sandbox(Status::from_error(Box::new(cut)));
    assert_eq!(lost.status().map(Status::code), Some(Code::Unknown));
    assert!(lost.is_connection_lost());
    assert_eq!(lost.reason().word, "ContainerRuntimeUnavailable");
    assert_eq!(
        lost.line(),
        "running a sandbox for pod default/a: broken pipe"
    );

    assert!(run_sandbox(Status::unavailable("connect")).is_connection_lost());
}

#[test]
fn codes_decide_about_repeating() {
    let retry = |code| run_sandbox(Status::new(code, "")).retry();
    assert_eq!(retry(Code::NotFound), Retry::Now);
    assert_eq!(retry(Code::AlreadyExists), Retry::Now);
    assert_eq!(retry(Code::InvalidArgument), Retry::Never);
    assert_eq!(retry(Code::DeadlineExceeded), Retry::Backoff);
    let endpoint = Error::Endpoint {
        endpoint: "tcp://x".into(),
    };
    assert_eq!(endpoint.retry(), Retry::Never);
}

#[test]
fn a_message_of_several_lines_is_one_line() {
    let error = run_sandbox(Status::unknown("a:\n  b\n"));
    assert_eq!(
        error.reason().message,
        "running a sandbox for pod default/a: a: b"
    );
}
