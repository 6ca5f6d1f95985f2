//! containerd's own event service: which events are asked for, and what they say.

use containerd_client::events::{TaskExit, TaskOom};
use containerd_client::services::v1::SubscribeRequest;
use containerd_client::services::v1::events_client::EventsClient;
use containerd_client::types::Envelope;
use jiff::Timestamp;
use prost::Message;
use tonic::transport::Channel;

use super::Event;
use crate::runtime::cache::End;
use crate::runtime::containerd::{NAMESPACE, in_namespace};
use crate::runtime::error::Error;

/// The topics. A sandbox that ends is its pause process's exit.
const TOPICS: [&str; 2] = ["/tasks/exit", "/tasks/oom"];

pub(super) async fn subscribe(channel: Channel) -> Result<tonic::Streaming<Envelope>, Error> {
    let filter = |topic| format!("namespace==\"{NAMESPACE}\",topic==\"{topic}\"");
    let request = SubscribeRequest {
        filters: TOPICS.map(filter).into(),
    };
    EventsClient::new(channel)
        .subscribe(in_namespace(request))
        .await
        .map(tonic::Response::into_inner)
        .map_err(Error::Events)
}

/// What an envelope says; nothing for the end of a command run in a container (a probe, an exec).
pub(super) fn event_of(envelope: &Envelope) -> Option<Event> {
    let any = envelope.event.as_ref()?;
    let bytes = any.value.as_slice();
    match any.type_url.rsplit('/').next()? {
        "containerd.events.TaskExit" => {
            let exit = TaskExit::decode(bytes).ok()?;
            (exit.id == exit.container_id).then(|| Event::Ended(end_of(&exit), exit.container_id))
        }
        "containerd.events.TaskOOM" => {
            let oom = TaskOom::decode(bytes).ok()?;
            Some(Event::OutOfMemory(oom.container_id))
        }
        _ => None,
    }
}

fn end_of(exit: &TaskExit) -> Option<End> {
    let at = exit.exited_at.as_ref()?;
    Some(End {
        at: Timestamp::new(at.seconds, at.nanos).ok()?,
        exit_code: i32::try_from(exit.exit_status).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(exit: &TaskExit) -> Envelope {
        let mut any = containerd_client::to_any(exit);
        // As containerd writes it on the wire.
        any.type_url = "containerd.events.TaskExit".into();
        Envelope {
            event: Some(any),
            topic: "/tasks/exit".into(),
            namespace: NAMESPACE.into(),
            timestamp: None,
        }
    }

    #[test]
    fn the_end_of_a_container_counts_and_that_of_an_exec_does_not() {
        let mut exit = TaskExit {
            container_id: "c".into(),
            id: "c".into(),
            ..Default::default()
        };
        let ended = |end| Some(Event::Ended(end, "c".into()));
        assert_eq!(event_of(&envelope(&exit)), ended(None), "without a time");
        let at = exit.exited_at.get_or_insert_default();
        (at.seconds, at.nanos) = (7, 1);
        exit.exit_status = 137;
        let end = End {
            at: Timestamp::new(7, 1).unwrap(),
            exit_code: 137,
        };
        assert_eq!(event_of(&envelope(&exit)), ended(Some(end)));
        exit.id = "exec-1".into();
        assert_eq!(event_of(&envelope(&exit)), None);
    }

    #[test]
    fn what_is_not_known_is_nothing() {
        let mut other = envelope(&TaskExit::default());
        if let Some(any) = &mut other.event {
            any.type_url = "example.com/other".into();
        }
        assert_eq!(event_of(&other), None);
        other.event = None;
        assert_eq!(event_of(&other), None);
    }
}
