//! Answers that do not end, and what Go's client takes of odd ones.

use super::*;

/// What an answer makes of a probe: bytes that are sent at once, then others without end while
/// anybody reads. And how many bytes went out.
async fn told(first: Vec<u8>, without_end: &[u8], deadline: Duration) -> (Answer, usize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let url = Url::new(false, "127.0.0.1", port, "/");
    let headers = http::probe_headers(&[], false);
    let serve = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let read = stream.read(&mut [0; 4096]).await;
        read.expect("a request");
        stream.write_all(&first).await.expect("sent");
        let mut sent = first.len();
        while !without_end.is_empty() && stream.write_all(without_end).await.is_ok() {
            sent += without_end.len();
        }
        sent
    };
    let deadline = tokio::time::Instant::now().after(deadline);
    tokio::join!(http::ask(url, headers, deadline), serve)
}

#[tokio::test]
async fn answers_without_end_are_read_within_bounds() {
    let minute = Duration::from_secs(60);
    let go_on = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(100);
    let headers = b"X-A: b\r\n".repeat(1000);
    let head = b"HTTP/1.1 200 OK\r\n".to_vec();
    let line = vec![b'a'; 8192];
    for (first, without_end) in [
        (Vec::new(), &go_on),
        (head.clone(), &headers),
        ([&head[..], b"X-A: "].concat(), &line),
    ] {
        let (answer, sent) = told(first, without_end, minute).await;
        assert!(matches!(answer, Answer::Failure(_)), "{answer:?}");
        // What lies in the sockets' buffers counts as sent.
        assert!(sent < 16 << 20, "{sent} bytes");
    }
    // Of a body no more than the beginning matters.
    let (answer, sent) = told([&head[..], b"\r\n"].concat(), &line, minute).await;
    assert_eq!(answer, Answer::Success);
    assert!(sent < 16 << 20, "{sent} bytes");
    // What Go's client takes.
    let many = b"X-A: b\r\n".repeat(150);
    let long = [&b"X-A: "[..], &vec![b'a'; 600_000], b"\r\n"].concat();
    for headers in [
        many,
        long,
        b"Server : x\r\n".to_vec(),
        b"X-A: a\r\n b\r\n".to_vec(),
    ] {
        let end = b"Content-Length: 2\r\n\r\nok";
        let (answer, _) = told([&head[..], &headers, end].concat(), b"", minute).await;
        assert_eq!(answer, Answer::Success);
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a server of a test")]
async fn a_body_that_breaks_off_or_does_not_end_says_nothing() {
    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok".to_vec();
    let (answer, _) = told(short, b"", Duration::from_secs(60)).await;
    assert!(matches!(answer, Answer::Unknown(_)), "{answer:?}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().expect("a connection");
        let read = stream.read(&mut [0; 4096]);
        read.expect("a request");
        let events = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n";
        stream.write_all(events).expect("sent");
        // Until the probe has enough.
        stream.read_to_end(&mut Vec::new()).ok();
    });
    let url = Url::new(false, "127.0.0.1", port, "/events");
    let deadline = tokio::time::Instant::now().after(Duration::from_millis(500));
    let answer = http::ask(url, http::probe_headers(&[], false), deadline).await;
    assert!(
        matches!(&answer, Answer::Unknown(why) if why.contains("reading body")),
        "{answer:?}"
    );
    server.join().expect("ended");
}

/// The shapes of answers that Go's `net/textproto` takes and refuses, each with a status of 200.
#[tokio::test]
async fn names_of_headers_are_taken_and_refused_as_by_go() {
    for (header, is_taken) in [
        ("Bad Name: x", true),
        ("Server : x", true),
        // It is no length to Go either.
        ("Content-Length : 100", true),
        ("X-A: a\r\n b", true),
        ("X-N: \u{e9}", true),
        (": x", false),
        ("garbage", false),
        ("bad name", false),
        (" X-A: x", false),
        ("X\tA: x", false),
        ("X-A\t: x", false),
        ("X\u{e9}: x", false),
        ("X(A): x", false),
        ("X_Y: a\u{1}b", false),
        ("X_Y: a\u{7f}b", false),
    ] {
        for before in ["", "HTTP/1.1 100 Continue\r\nA b: c\r\n\r\n"] {
            let text =
                format!("{before}HTTP/1.1 200 OK\r\n{header}\r\nContent-Length: 2\r\n\r\nok");
            let (answer, _) = told(text.into_bytes(), b"", Duration::from_secs(60)).await;
            match is_taken {
                true => assert_eq!(answer, Answer::Success, "{header:?}"),
                false => assert!(
                    matches!(answer, Answer::Failure(_)),
                    "{header:?}: {answer:?}"
                ),
            }
        }
    }
}

#[tokio::test]
async fn a_grpc_answer_without_end_is_read_within_bounds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let serve = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        // HTTP/2: settings, then frames of a kind that nobody knows and everybody passes over.
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        stream.write_all(&settings).await.expect("sent");
        let mut frame = vec![0x00, 0x40, 0x00, 0xfa, 0, 0, 0, 0, 0];
        frame.resize(9 + 0x4000, 0);
        let mut sent = 0;
        while stream.write_all(&frame).await.is_ok() {
            sent += frame.len();
        }
        sent
    };
    let minute = Duration::from_secs(60);
    let (answer, sent) = tokio::join!(grpc::ask("127.0.0.1", port, "", minute), serve);
    // Not at the deadline.
    assert!(
        matches!(&answer, Answer::Failure(why) if !why.contains("within 60s")),
        "{answer:?}"
    );
    // What lies in the sockets' buffers counts as sent.
    assert!(sent < 16 << 20, "{sent} bytes");
}
