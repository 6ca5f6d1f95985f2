//! The agent's API on its socket: Kubernetes paths and objects, health, metrics, and the agent's
//! own status.
//!
//! It reads handles and requests and starts nothing: everything it answers is derived from the
//! newest view at the moment of the question. It follows kube-apiserver where kubectl can tell the
//! difference: paths, tables, selectors, watches and errors.

mod connections;
mod container;
mod discovery;
mod exec;
mod failure;
mod guard;
mod log;
mod objects;
mod own;
mod request;
mod rollout;
mod selector;
mod sessions;
mod shown;
mod socket;
mod table;
#[cfg(test)]
pub(crate) mod tests;
mod version;
mod watch;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub use exec::ExecSource;
pub use failure::Failure;
pub use log::{LogLine, LogLines, LogRequest, LogSource};
pub use own::{Explanation, NodeReport, PodReportLine, Pull, SetExplanation, SetLine};
pub use rollout::{Progress, RevisionLine, Rollout};
pub use shown::Shown;
pub use socket::{BindError, bind, unbind};

use crate::api::ObjectKey;
use crate::model::{Command, EventLog, NodeView, Refusal};
use connections::Connection;
use request::{Call, List};
use sessions::Starter;
use table::Form;

/// How long requests that run when the agent stops may take to end.
const DRAIN: Duration = Duration::from_millis(500);

/// How long it may take until something that was asked for is decided.
const PATIENCE: Duration = Duration::from_secs(20);

/// Something a person asks for, and where the answer goes.
#[derive(Debug)]
pub struct Request {
    /// What.
    pub command: Command,
    /// The answer: what was done, or why not.
    pub reply: oneshot::Sender<Result<String, Refusal>>,
}

/// What the server answers from.
#[derive(Clone)]
pub struct Api {
    /// The newest view.
    pub view: tokio::sync::watch::Receiver<Arc<NodeView>>,
    /// The events that are remembered.
    pub events: tokio::sync::watch::Receiver<Arc<EventLog>>,
    /// Who reads container logs.
    pub logs: Arc<dyn LogSource>,
    /// Who runs commands in containers.
    pub exec: Arc<dyn ExecSource>,
    /// The text of `/metrics`.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Who carries out what people ask for.
    pub requests: mpsc::Sender<Request>,
    /// What time of day it is.
    pub clock: fn() -> Timestamp,
    /// How far that is ahead of the times in view and events.
    pub ahead: fn() -> SignedDuration,
    /// What was answered last; it begins empty.
    pub shown: Shown,
    /// Ends the server, and with it watches and followed logs.
    pub cancel: CancellationToken,
}

/// What requests are handled with.
#[derive(Clone)]
struct Server {
    api: Api,
    starter: Starter,
}

/// Serves the API until it is cancelled; requests and sessions that then run have half a second to
/// end.
pub async fn serve(listener: UnixListener, api: Api) {
    let cancel = api.cancel.clone();
    let (starter, sessions) = sessions::sessions();
    let server = Server { api, starter };
    let router = Router::new().fallback(handle).with_state(server);
    let served = connections::serve(listener, router, &cancel);
    tokio::select! {
        ((), ()) = async { tokio::join!(served, sessions.run(&cancel)) } => {}
        () = async { cancel.cancelled().await; tokio::time::sleep(DRAIN).await } => {}
    }
}

async fn handle(
    State(server): State<Server>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
    request: axum::extract::Request,
) -> Response {
    guard::answer(dispatch(server, query, request)).await
}

async fn dispatch(
    Server { api, starter }: Server,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
    request: axum::extract::Request,
) -> Response {
    let query = match query {
        Ok(Query(query)) => query,
        Err(error) => return Failure::bad_request(error.body_text()).into_response(),
    };
    let accept = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|v| v.to_str().ok());
    let include = query
        .iter()
        .find(|(name, _)| name == "includeObject")
        .map(|(_, v)| v.as_str());
    let form = Form::of(accept.unwrap_or_default(), include);
    match request::parse(request.method(), request.uri().path(), &query) {
        Ok(call) => answer(&api, &starter, call, form, request)
            .await
            .unwrap_or_else(IntoResponse::into_response),
        Err(failure) => failure.into_response(),
    }
}

async fn answer(
    api: &Api,
    starter: &Starter,
    call: Call,
    form: Form,
    request: axum::extract::Request,
) -> Result<Response, Failure> {
    let goes_on = match &call {
        Call::Log(..) | Call::Exec(..) => true,
        Call::List(list) => list.watch.is_some(),
        _ => false,
    };
    let connection = request.extensions().get::<Connection>();
    let permit = match connection.filter(|_| goes_on) {
        Some(connection) => Some(connection.goes_on()?),
        None => None,
    };
    match call {
        Call::Exec(key, query) => exec::exec(api, starter, &key, &query, request, permit).await,
        call => api.answer(call, form).await,
    }
}

impl Api {
    async fn answer(&self, call: Call, form: Form) -> Result<Response, Failure> {
        let seen = self.seen();
        let view = &*seen.view;
        let now = (self.clock)();
        Ok(match call {
            Call::Live => "ok".into_response(),
            Call::Ready => ready(view),
            Call::Metrics => {
                let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
                (kind, (self.metrics)()).into_response()
            }
            Call::Version => Json(version::version()).into_response(),
            Call::Discovery(which) => Json(discovery::document(which)).into_response(),
            Call::List(list) => self.list(&seen, list, form),
            Call::Get(resource, key) => {
                let mut items = objects::list(&seen, resource, now).into_iter();
                let item = items.find(|item| item.key() == key);
                let item = item.ok_or_else(|| Failure::no_object(resource, &key.name))?;
                let version = seen.version(resource).to_string();
                match form {
                    Form::Plain => Json(item.to_value(&version)).into_response(),
                    Form::Table(include) => {
                        let item = [item];
                        let table = table::table(resource, &item, include, &version, now);
                        Json(table).into_response()
                    }
                }
            }
            Call::Log(key, query) => log::log(self, &key, &query).await?,
            // Answered with the request in hand, which becomes a connection.
            Call::Exec(..) => return Err(Failure::no_path()),
            Call::Status => Json(own::report(view, now)).into_response(),
            Call::Explain(key) => Json(self.explain(view, &key, now)?).into_response(),
            Call::Rollout(key) => {
                let missing = || Failure::no_object(objects::Resource::DaemonSets, &key.name);
                let rollout = rollout::rollout(view, &key, now).ok_or_else(missing)?;
                Json(rollout).into_response()
            }
            Call::Command(command) => Json(done(&self.ask(command).await?)).into_response(),
        })
    }

    /// Has something done, and waits until that is decided.
    async fn ask(&self, command: Command) -> Result<String, Failure> {
        let (reply, answer) = oneshot::channel();
        let ended = || Failure::internal("the agent is ending");
        let request = Request { command, reply };
        let asked = async {
            self.requests.send(request).await.map_err(|_| ended())?;
            answer.await.map_err(|_| ended())
        };
        let answer = tokio::time::timeout(PATIENCE, asked).await;
        let answer = answer.map_err(|_| Failure::undecided(&self.view.borrow().unanswered))?;
        answer?.map_err(Failure::refused)
    }

    /// The newest of everything.
    fn seen(&self) -> objects::Seen {
        let (view, events) = (self.view.borrow().clone(), self.events.borrow().clone());
        self.shown.seen(&view, &events, (self.ahead)())
    }

    /// The items of a list request.
    fn select(&self, seen: &objects::Seen, list: &List) -> Vec<objects::Item> {
        let mut items = objects::list(seen, list.resource, (self.clock)());
        items.retain(|item| {
            let namespace = item.metadata().namespace.as_deref().unwrap_or_default();
            list.namespace
                .as_deref()
                .is_none_or(|wanted| wanted == namespace)
                && list.selector.matches(item)
        });
        items
    }

    fn list(&self, seen: &objects::Seen, list: List, form: Form) -> Response {
        if let Some(watch) = list.watch.clone() {
            let events = watch::events(self.clone(), list, &watch, form);
            let kind = [(header::CONTENT_TYPE, "application/json")];
            let events = events.map(|event: Result<_, Infallible>| event);
            return (kind, Body::from_stream(events)).into_response();
        }
        let items = self.select(seen, &list);
        let version = seen.version(list.resource).to_string();
        match form {
            Form::Table(include) => {
                let now = (self.clock)();
                let table = table::table(list.resource, &items, include, &version, now);
                Json(table).into_response()
            }
            Form::Plain => {
                Json(objects::item_list(list.resource, &items, &version)).into_response()
            }
        }
    }

    fn explain(
        &self,
        view: &NodeView,
        key: &ObjectKey,
        now: Timestamp,
    ) -> Result<Explanation, Failure> {
        let missing = || Failure::no_object(objects::Resource::DaemonSets, &key.name);
        own::explain(view, key, now).ok_or_else(missing)
    }
}

/// The `Status` of something that was done.
fn done(message: &str) -> Value {
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "message": message,
    })
}

fn ready(view: &NodeView) -> Response {
    let why = match &view.runtime {
        Some(reason) => reason.to_string(),
        None if !view.ready => "the manifests are not read yet".to_owned(),
        None => return "ok".into_response(),
    };
    (
        StatusCode::SERVICE_UNAVAILABLE,
        format!("not ready: {why}\n"),
    )
        .into_response()
}
