//! Asks the gRPC health service (`pkg/probe/grpc`, grpc.health.v1): only `SERVING` is success.

use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic_prost::ProstCodec;

use super::http::authority;
use crate::model::Answer;

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `ServingStatus.SERVING`.
const SERVING: i32 = 1;

pub(super) async fn ask(host: &str, port: u16, service: &str) -> Answer {
    match check(host, port, service).await {
        Ok(SERVING) => Answer::Success,
        Ok(status) => Answer::Failure(format!(
            "service unhealthy (responded with {:?})",
            word(status)
        )),
        Err(why) => Answer::Failure(why),
    }
}

async fn check(host: &str, port: u16, service: &str) -> Result<i32, String> {
    let address = authority(host, port);
    let failed = |error: &dyn std::error::Error| {
        format!(
            "failed to connect to {address}: {}",
            super::http::innermost(error)
        )
    };
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .and_then(|endpoint| endpoint.user_agent("kube-probe/1.36"))
        .map_err(|error| failed(&error))?;
    let channel = endpoint.connect().await.map_err(|error| failed(&error))?;
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|error| failed(&error))?;
    let request = tonic::Request::new(HealthCheckRequest {
        service: service.to_owned(),
    });
    let codec: ProstCodec<HealthCheckRequest, HealthCheckResponse> = ProstCodec::default();
    let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    match client.unary(request, path, codec).await {
        Ok(answer) => Ok(answer.into_inner().status),
        Err(status) if status.code() == tonic::Code::Unimplemented => Err(
            "this server does not implement the grpc health protocol (grpc.health.v1.Health)"
                .to_owned(),
        ),
        Err(status) => Err(format!(
            "rpc error: {:?}: {}",
            status.code(),
            status.message()
        )),
    }
}

fn word(status: i32) -> &'static str {
    match status {
        SERVING => "SERVING",
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "UNKNOWN",
    }
}
