//! Errors as Kubernetes answers them: a `Status` object with the HTTP code in it.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::objects::Resource;
use crate::model::{Reason, Refusal};

/// A request that is answered with an error.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    code: StatusCode,
    reason: &'static str,
    message: String,
    details: Value,
}

/// A field with a value that breaks a rule.
pub(super) struct Invalid {
    /// The field's path.
    pub field: &'static str,
    /// Kubernetes' word for it.
    pub reason: &'static str,
    /// What is wrong.
    pub message: String,
}

impl Failure {
    fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: json!({}),
        }
    }

    /// There is no such path.
    pub(super) fn no_path() -> Self {
        let message = "the server could not find the requested resource";
        Self::new(StatusCode::NOT_FOUND, "NotFound", message)
    }

    /// There is no such object.
    pub(super) fn no_object(resource: Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.qualified());
        let mut failure = Self::new(StatusCode::NOT_FOUND, "NotFound", message);
        failure.details = json!({"name": name, "kind": resource.plural()});
        if !resource.group().is_empty() {
            failure.details["group"] = resource.group().into();
        }
        failure
    }

    /// The path is there, the method is not.
    pub(super) fn method() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    }

    /// The request makes no sense.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// The request is understood and cannot be served that way.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
    }

    /// What is sent breaks rules of its kind, as `errors.NewInvalid` tells it.
    pub(super) fn invalid_object(kind: &str, name: &str, wrong: &[Invalid]) -> Self {
        let told = wrong
            .iter()
            .map(|one| format!("{}: {}", one.field, one.message));
        let told = told.collect::<Vec<_>>().join(", ");
        let told = if wrong.len() == 1 {
            told
        } else {
            format!("[{told}]")
        };
        let mut failure = Self::invalid(format!("{kind} \"{name}\" is invalid: {told}"));
        let causes = wrong
            .iter()
            .map(|one| json!({"reason": one.reason, "message": one.message, "field": one.field}));
        failure.details = json!({
            "name": name,
            "kind": kind,
            "causes": causes.collect::<Vec<_>>(),
        });
        failure
    }

    /// What was asked for and why it is not done.
    pub(super) fn refused(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound(message) => Self::new(StatusCode::NOT_FOUND, "NotFound", message),
            Refusal::Conflict(message) => Self::new(StatusCode::CONFLICT, "Conflict", message),
            Refusal::NotWritten(message) => Self::internal(message),
        }
    }

    /// The agent failed.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    /// Nobody knows yet whether what was asked for is done.
    pub(super) fn undecided(unanswered: &[Reason]) -> Self {
        let why: Vec<&str> = unanswered.iter().map(|one| one.message.as_str()).collect();
        let why = if why.is_empty() {
            "the agent is busy".to_owned()
        } else {
            why.join("; ")
        };
        let message = format!("it is not decided yet, and may still be done: {why}");
        Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message)
    }

    /// There are too many of its kind.
    pub(super) fn too_many(message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message)
    }

    /// The agent cannot go on with it.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "ServiceUnavailable",
            message,
        )
    }

    /// The `Status` object.
    pub(super) fn status(&self) -> Value {
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code.as_u16(),
        })
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.code, Json(self.status())).into_response()
    }
}
