//! Container logs: which container's log is meant, and the bytes from whoever reads log files.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt, future};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use super::request::LogQuery;
use super::{Api, container};
use crate::api::{ContainerName, ObjectKey, PodKey};
use crate::model::time::earlier;
use crate::model::{ContainerId, NodeView, ObservedContainer, PodReport};

/// Which lines of which container's log are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRequest {
    /// The pod.
    pub key: PodKey,
    /// The container.
    pub container: ContainerName,
    /// The container's attempt: the number of the log file.
    pub attempt: u32,
    /// Only this many lines from the end.
    pub tail: Option<usize>,
    /// Only lines from this moment on.
    pub since: Option<Timestamp>,
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written.
    pub time: Timestamp,
    /// Its bytes, with the newline where it has one.
    pub text: Bytes,
}

/// A log's lines, as they come.
pub type LogLines = BoxStream<'static, io::Result<LogLine>>;

/// Reads container logs; `runtime` knows how.
pub trait LogSource: Send + Sync {
    /// Reads a log to its end; with `follow` goes on until that is cancelled and what was written
    /// before is read.
    fn read(&self, request: &LogRequest, follow: Option<CancellationToken>) -> LogLines;
}

/// How long the first line is waited for, so that a log that cannot be read is an error.
const FIRST_LINE: Duration = Duration::from_millis(200);

/// Answers a log request.
pub(super) async fn log(api: &Api, key: &ObjectKey, query: &LogQuery) -> Result<Response, Failure> {
    let view = api.view.borrow().clone();
    let (request, id) = resolve(&view, key, query, (api.clock)())?;
    let follow = query.follow.then(CancellationToken::new);
    let mut lines = api.logs.read(&request, follow.clone());
    if let Some(follow) = follow {
        let end = container_end(api.clone(), request.key.clone(), id);
        lines = until(lines, end, follow);
    }
    let first = tokio::time::timeout(FIRST_LINE, lines.next()).await.ok();
    let finished = matches!(first, Some(None));
    let first = first.flatten().transpose().map_err(|error| {
        let name = &request.container;
        Failure::internal(format!(
            "cannot read the log of container {name} of {key}: {error}"
        ))
    })?;
    let rest = if finished {
        stream::empty().boxed()
    } else {
        lines
    };
    let lines = stream::iter(first.map(Ok)).chain(rest);
    let cancel = api.cancel.clone();
    let bytes = render(lines, query).take_until(async move { cancel.cancelled().await });
    let kind = [(header::CONTENT_TYPE, "text/plain")];
    Ok((kind, Body::from_stream(bytes)).into_response())
}

/// The lines, while `end` is awaited beside them, which cancels `follow`.
fn until(
    mut lines: LogLines,
    end: impl Future<Output = ()> + Send + 'static,
    follow: CancellationToken,
) -> LogLines {
    let mut end = Some(Box::pin(end));
    stream::poll_fn(move |context| {
        if let Some(waiting) = &mut end
            && waiting.as_mut().poll(context).is_ready()
        {
            follow.cancel();
            end = None;
        }
        lines.poll_next_unpin(context)
    })
    .boxed()
}

/// The bytes of the answer: lines that are there at the same time go in one piece.
fn render(
    lines: impl Stream<Item = io::Result<LogLine>> + Send + 'static,
    query: &LogQuery,
) -> BoxStream<'static, io::Result<Bytes>> {
    let mut left = query
        .limit_bytes
        .map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let timestamps = query.timestamps;
    let pieces = lines.ready_chunks(256).map(move |lines| {
        let mut piece = Vec::new();
        for line in lines {
            let line = line?;
            if timestamps {
                piece.extend_from_slice(format!("{:.9} ", line.time).as_bytes());
            }
            piece.extend_from_slice(&line.text);
        }
        piece.truncate(left);
        left -= piece.len();
        Ok(Bytes::from(piece))
    });
    // An empty piece means that the limit is reached.
    pieces
        .take_while(|piece| future::ready(!piece.as_ref().is_ok_and(Bytes::is_empty)))
        .boxed()
}

/// Finds the container that is meant.
fn resolve(
    view: &NodeView,
    key: &ObjectKey,
    query: &LogQuery,
    now: Timestamp,
) -> Result<(LogRequest, ContainerId), Failure> {
    let report = container::pod(view, key)?;
    let name = container::name(report, query.container.as_deref())?;
    let found = instance(view, report, &name, query.previous, now)?;
    let since_seconds = query.since_seconds.map(Duration::from_secs);
    let request = LogRequest {
        key: report.want.key().clone(),
        container: found.name.clone(),
        attempt: found.attempt,
        tail: query
            .tail_lines
            .map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
        since: since_seconds.map(|s| earlier(now, s)).or(query.since_time),
    };
    Ok((request, found.id.clone()))
}

/// The container whose log it is: the newest that was started, or the one before it.
fn instance<'a>(
    view: &NodeView,
    report: &'a PodReport,
    name: &str,
    previous: bool,
    now: Timestamp,
) -> Result<&'a ObservedContainer, Failure> {
    let pod = &report.want.key().name;
    let all = report.have.iter().flat_map(|have| &have.containers);
    let mut all: Vec<_> = all.filter(|c| c.name.as_str() == name).collect();
    all.sort_by_key(|c| std::cmp::Reverse((c.attempt, c.created_at)));
    let started: Vec<_> = all
        .into_iter()
        .filter(|c| c.state != crate::model::ContainerState::Created)
        .collect();
    let waiting = container::state(view, report, name, now).waiting;
    // A container that waits for its restart is itself the previous one, as for kubelet.
    let index = usize::from(previous && waiting.is_none());
    started.get(index).copied().ok_or_else(|| {
        Failure::bad_request(if previous {
            format!("previous terminated container \"{name}\" in pod \"{pod}\" not found")
        } else {
            let word = waiting.and_then(|w| w.reason);
            let word = word.unwrap_or_else(|| "ContainerCreating".to_owned());
            format!("container \"{name}\" in pod \"{pod}\" is waiting to start: {word}")
        })
    })
}

/// Comes back when the container no longer runs, as far as the view tells.
async fn container_end(mut api: Api, key: PodKey, id: ContainerId) {
    let runs = |view: &NodeView| {
        let have = view.pods.get(&key.uid).and_then(|pod| pod.have.as_ref());
        have.is_some_and(|have| have.containers.iter().any(|c| c.id == id && c.is_running()))
    };
    // An error means that the agent is going away.
    let _ = api.view.wait_for(|view| !runs(view)).await;
}
