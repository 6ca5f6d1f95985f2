//! What keeps a defect to the request that it is met with.

use std::panic::AssertUnwindSafe;

use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tracing::error;

use super::failure::Failure;
use crate::model::defect;

/// The answer, or that there is none because of a defect.
pub(super) async fn answer(answer: impl Future<Output = Response>) -> Response {
    let done = AssertUnwindSafe(answer).catch_unwind().await;
    done.unwrap_or_else(|panic| {
        let defect = defect(&*panic);
        error!("a request is not answered: {defect}");
        Failure::internal(defect).into_response()
    })
}

/// A session to its end, or to the defect that ends it.
pub(super) async fn session(session: impl Future<Output = ()>) {
    if let Err(panic) = AssertUnwindSafe(session).catch_unwind().await {
        error!("a session ends early: {}", defect(&*panic));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_costs_one_request_or_session() {
        let told = answer(async { panic!("at {}", 7) }).await;
        assert_eq!(told.status(), 500);
        let body = axum::body::to_bytes(told.into_body(), 4096).await;
        let body = String::from_utf8(body.expect("a body").to_vec()).expect("text");
        assert!(body.contains("a defect of it: at 7"), "{body}");
        session(async { panic!("early") }).await;
    }
}
