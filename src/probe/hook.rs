//! Runs a hook to its end (`pkg/kubelet/lifecycle/handlers.go`): any HTTP answer is success, a
//! command's status decides, a sleep always succeeds.

use std::time::Duration;

use super::{exec, http};
use crate::model::{Check, ContainerId};
use crate::runtime::Runtime;

/// Runs a hook; dropping it ends it. `node` is the host for hooks that name none.
///
/// # Errors
/// Why it failed, in one line.
pub async fn run_hook(
    runtime: &Runtime,
    node: &str,
    container: &ContainerId,
    hook: &Check,
) -> Result<(), String> {
    match hook {
        Check::Exec { command } => {
            let command = command.clone();
            let ran = runtime.exec_sync(container, command, Duration::ZERO).await;
            match ran.map_err(|error| error.line())? {
                (0, _) => Ok(()),
                (status, output) => Err(exec::failure(status, &output)),
            }
        }
        Check::Http {
            host,
            port,
            path,
            tls,
            headers,
        } => {
            let host = host.as_deref().unwrap_or(node);
            let headers = http::hook_headers(headers);
            let url = http::Url::new(*tls, host, *port, path);
            let answered = http::get(&url, &headers, None).await;
            match answered {
                Err(http::Failed::NotTls) => {
                    let plain = http::Url::new(false, host, *port, path);
                    http::get(&plain, &headers, None).await.map(drop)
                }
                answered => answered.map(drop),
            }
            .map_err(|failed| failed.to_string())
        }
        Check::Sleep { time } => {
            tokio::time::sleep(*time).await;
            Ok(())
        }
        Check::Tcp { .. } | Check::Grpc { .. } => Err("invalid handler".to_owned()),
        Check::Invalid { why } => Err(why.clone()),
    }
}
