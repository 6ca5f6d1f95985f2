//! Turns method, path and query into one [`Call`] before anything happens; everything that can be
//! wrong with a request as such is found here.

mod log;

use axum::http::Method;

pub(super) use log::LogQuery;
use log::log_query;

use super::discovery::Document;
use super::failure::Failure;
use super::objects::Resource;
use super::selector::Selector;
use crate::api::ObjectKey;
use crate::model::{Command, RolloutCommand};
use crate::runtime::Exec;

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub(super) enum Call {
    Live,
    Ready,
    Metrics,
    Version,
    Discovery(Document),
    List(List),
    Get(Resource, ObjectKey),
    Log(ObjectKey, LogQuery),
    Exec(ObjectKey, ExecQuery),
    Status,
    Explain(ObjectKey),
    Rollout(ObjectKey),
    Command(Command),
}

/// A list or watch request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct List {
    pub resource: Resource,
    /// All namespaces where it is `None`.
    pub namespace: Option<String>,
    pub selector: Selector,
    pub watch: Option<Watch>,
}

/// What of a watch is not of its list.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Watch {
    /// The version from which changes are wanted; none: everything there is comes first.
    pub since: Option<u64>,
    /// After how many seconds the watch ends.
    pub timeout: Option<u64>,
}

/// The query of an exec request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ExecQuery {
    pub container: Option<String>,
    pub exec: Exec,
}

/// The query's parameters in order.
type Query = Vec<(String, String)>;

/// Reads a request.
pub(super) fn parse(method: &Method, path: &str, query: &Query) -> Result<Call, Failure> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let call = match parts.as_slice() {
        ["healthz" | "livez"] => Call::Live,
        ["readyz"] => Call::Ready,
        ["metrics"] => Call::Metrics,
        ["version"] => Call::Version,
        ["api"] => Call::Discovery(Document::CoreVersions),
        ["apis"] => Call::Discovery(Document::Groups),
        ["apis", "apps"] => Call::Discovery(Document::Apps),
        ["api", "v1"] => Call::Discovery(Document::Core),
        ["apis", "apps", "v1"] => Call::Discovery(Document::AppsV1),
        ["apis", "setlet.dev", "v1", rest @ ..] => own(rest, query)?,
        ["api", "v1", rest @ ..] => object("", rest, query)?,
        ["apis", "apps", "v1", rest @ ..] => object("apps", rest, query)?,
        _ => return Err(Failure::no_path()),
    };
    match (method, call) {
        (&Method::POST, call @ Call::Command(_)) => Ok(call),
        (_, Call::Command(_)) => Err(Failure::method()),
        (&Method::DELETE, Call::Get(Resource::Pods, key)) => {
            Ok(Call::Command(Command::DeletePod(key)))
        }
        (&Method::GET | &Method::POST, call @ Call::Exec(..)) => Ok(call),
        (_, Call::Exec(..)) => Err(Failure::method()),
        (&Method::GET | &Method::HEAD, call) => Ok(call),
        _ => Err(Failure::method()),
    }
}

/// The agent's own paths, for what Kubernetes has no word for.
fn own(rest: &[&str], query: &Query) -> Result<Call, Failure> {
    match *rest {
        ["status"] => Ok(Call::Status),
        ["namespaces", namespace, "daemonsets", name, ref rest @ ..] => {
            let set = ObjectKey::new(namespace, name);
            match *rest {
                ["explain"] => Ok(Call::Explain(set)),
                ["rollout"] => Ok(Call::Rollout(set)),
                ["rollout", action] => {
                    let command = Command::Rollout(set, rollout(action, query)?);
                    Ok(Call::Command(command))
                }
                _ => Err(Failure::no_path()),
            }
        }
        _ => Err(Failure::no_path()),
    }
}

/// The commands of `setlet rollout`.
fn rollout(action: &str, query: &Query) -> Result<RolloutCommand, Failure> {
    Ok(match action {
        "undo" => RolloutCommand::Undo {
            to: match text(query, "toRevision") {
                None => None,
                Some(number) => Some(number.parse().map_err(|_| {
                    Failure::bad_request(format!("toRevision: \"{number}\" is not a number"))
                })?),
            },
        },
        "restart" => RolloutCommand::Restart,
        "pause" => RolloutCommand::Pause,
        "resume" => RolloutCommand::Resume,
        "approve" => RolloutCommand::Approve,
        _ => return Err(Failure::no_path()),
    })
}

fn object(group: &str, rest: &[&str], query: &Query) -> Result<Call, Failure> {
    let resource = |plural: &str| Resource::named(group, plural).ok_or_else(Failure::no_path);
    match *rest {
        [plural] => list(resource(plural)?, None, query),
        ["namespaces", namespace, "pods", name, "log"] if group.is_empty() => Ok(Call::Log(
            ObjectKey::new(namespace, name),
            log_query(name, query)?,
        )),
        ["namespaces", namespace, "pods", name, "exec"] if group.is_empty() => Ok(Call::Exec(
            ObjectKey::new(namespace, name),
            exec_query(query)?,
        )),
        ["namespaces", namespace, plural] if resource(plural)?.namespaced() => {
            list(resource(plural)?, Some(namespace.to_owned()), query)
        }
        ["namespaces", namespace, plural, name] if resource(plural)?.namespaced() => Ok(Call::Get(
            resource(plural)?,
            ObjectKey::new(namespace, name),
        )),
        [plural, name] if !resource(plural)?.namespaced() => {
            Ok(Call::Get(resource(plural)?, ObjectKey::new("", name)))
        }
        _ => Err(Failure::no_path()),
    }
}

fn list(resource: Resource, namespace: Option<String>, query: &Query) -> Result<Call, Failure> {
    let labels = text(query, "labelSelector").unwrap_or_default();
    let fields = text(query, "fieldSelector").unwrap_or_default();
    let selector = Selector::parse(resource, labels, fields)?;
    let watch = flag(query, "watch")?;
    if watch && flag(query, "sendInitialEvents")? {
        let message = "sendInitialEvents: Forbidden: watch-list is not supported; list, then watch";
        return Err(Failure::invalid(message));
    }
    let watch = if watch {
        let since = number(query, "resourceVersion")?.filter(|version| *version > 0);
        let timeout = number(query, "timeoutSeconds")?;
        Some(Watch { since, timeout })
    } else {
        None
    };
    Ok(Call::List(List {
        resource,
        namespace,
        selector,
        watch,
    }))
}

fn exec_query(query: &Query) -> Result<ExecQuery, Failure> {
    let command = query.iter().filter(|(key, _)| key == "command");
    let tty = flag(query, "tty")?;
    let exec = Exec {
        command: command.map(|(_, value)| value.clone()).collect(),
        stdin: flag(query, "stdin")?,
        stdout: flag(query, "stdout")?,
        // As kubelet does it: a terminal shows both on one stream.
        stderr: flag(query, "stderr")? && !tty,
        tty,
    };
    if exec.command.is_empty() {
        return Err(Failure::bad_request("command: Required value"));
    }
    if !(exec.stdin || exec.stdout || exec.stderr) {
        return Err(Failure::bad_request(
            "you must specify at least 1 of stdin, stdout, stderr",
        ));
    }
    Ok(ExecQuery {
        container: text(query, "container").map(str::to_owned),
        exec,
    })
}

/// The last value of a parameter, where it is not empty.
fn text<'a>(query: &'a Query, name: &str) -> Option<&'a str> {
    let mut values = query.iter().rev().filter(|(key, _)| key == name);
    values
        .next()
        .map(|(_, value)| value.as_str())
        .filter(|value| !value.is_empty())
}

fn flag(query: &Query, name: &str) -> Result<bool, Failure> {
    match text(query, name) {
        Some("true" | "1") => Ok(true),
        Some("false" | "0") | None => Ok(false),
        Some(other) => Err(Failure::bad_request(format!(
            "{name}: {other:?} is neither true nor false"
        ))),
    }
}

fn number(query: &Query, name: &str) -> Result<Option<u64>, Failure> {
    let wrong = |value| Failure::bad_request(format!("{name}: {value:?} is not a number from 0"));
    text(query, name)
        .map(|value| value.parse().map_err(|_| wrong(value)))
        .transpose()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn get(path: &str) -> Result<Call, Failure> {
        parse(&Method::GET, path, &Vec::new())
    }

    #[test]
    fn paths() {
        assert_eq!(get("/healthz"), Ok(Call::Live));
        assert_eq!(get("/apis/apps/v1/"), Ok(Call::Discovery(Document::AppsV1)));
        let key = ObjectKey::new("a", "b");
        assert_eq!(
            get("/api/v1/namespaces/a/pods/b"),
            Ok(Call::Get(Resource::Pods, key.clone()))
        );
        assert_eq!(
            get("/api/v1/namespaces/a/pods/b/log"),
            Ok(Call::Log(key, LogQuery::default()))
        );
        assert_eq!(
            get("/api/v1/namespaces/a"),
            Ok(Call::Get(Resource::Namespaces, ObjectKey::new("", "a")))
        );
        for path in [
            "/",
            "/api/v2",
            "/api/v1/daemonsets",
            "/apis/apps/v1/pods",
            "/api/v1/pods/b",
            "/api/v1/namespaces/a/nodes",
            "/api/v1/secrets",
        ] {
            assert_eq!(get(path), Err(Failure::no_path()), "{path}");
        }
        assert_eq!(
            parse(&Method::POST, "/api/v1/pods", &Vec::new()),
            Err(Failure::method())
        );
    }

    #[test]
    fn queries() {
        let pairs = |pairs: &[(&str, &str)]| -> Query {
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        };
        let path = "/api/v1/namespaces/a/pods/b/log";
        let query = pairs(&[
            ("tailLines", "5"),
            ("follow", "true"),
            ("sinceTime", "2026-01-01T00:00:00Z"),
        ]);
        let Ok(Call::Log(_, log)) = parse(&Method::GET, path, &query) else {
            panic!("a log call")
        };
        let expected = LogQuery {
            follow: true,
            tail_lines: Some(5),
            since_time: Some(Timestamp::from_second(1_767_225_600).expect("a time")),
            ..LogQuery::default()
        };
        assert_eq!(log, expected);
        for wrong in [
            ("tailLines", "-1"),
            ("follow", "maybe"),
            ("sinceTime", "yesterday"),
        ] {
            assert!(
                parse(&Method::GET, path, &pairs(&[wrong])).is_err(),
                "{wrong:?}"
            );
        }
        exec_queries(&pairs);
        let watch = pairs(&[("watch", "true"), ("sendInitialEvents", "true")]);
        assert!(parse(&Method::GET, "/api/v1/pods", &watch).is_err());
    }

    fn exec_queries(pairs: &impl Fn(&[(&str, &str)]) -> Query) {
        let path = "/api/v1/namespaces/a/pods/b/exec";
        let query = pairs(&[
            ("command", "sh"),
            ("command", ""),
            ("stdout", "true"),
            ("stderr", "true"),
            ("tty", "true"),
        ]);
        for method in [Method::GET, Method::POST] {
            let Ok(Call::Exec(_, found)) = parse(&method, path, &query) else {
                panic!("an exec call")
            };
            let expected = Exec {
                command: vec!["sh".to_owned(), String::new()],
                stdout: true,
                tty: true,
                ..Exec::default()
            };
            assert_eq!(found.exec, expected);
        }
        assert_eq!(parse(&Method::HEAD, path, &query), Err(Failure::method()));
        for wrong in [pairs(&[("command", "sh")]), pairs(&[("stdin", "true")])] {
            assert!(parse(&Method::GET, path, &wrong).is_err(), "{wrong:?}");
        }
    }
}
