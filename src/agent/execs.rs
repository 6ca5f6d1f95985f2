//! Commands in containers for the server, run by the runtime room.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::model::ContainerId;
use crate::runtime::{Exec, Input, Output, Runtime, StreamError};
use crate::server::ExecSource;

/// Runs commands through the runtime.
pub struct Execs(pub Runtime);

impl ExecSource for Execs {
    fn exec(
        &self,
        container: &ContainerId,
        exec: &Exec,
    ) -> BoxFuture<'static, Result<(Input, Output), StreamError>> {
        let (runtime, container, exec) = (self.0.clone(), container.clone(), exec.clone());
        async move { runtime.exec(&container, &exec).await }.boxed()
    }
}
