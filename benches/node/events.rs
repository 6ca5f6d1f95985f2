//! containerd's own words about tasks, with its own time stamps: the one instrument by which both
//! sides are measured, and which neither can hold up.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use containerd_client::events::{TaskExit, TaskStart};
use containerd_client::services::v1::SubscribeRequest;
use containerd_client::services::v1::events_client::EventsClient;
use containerd_client::types::Envelope;
use containerd_client::with_namespace;
use prost::Message;
use tonic::Request;

use crate::harness::Containerd;
use crate::harness::containerd::block_on;

/// Longer than any wait here.
const LIMIT: Duration = Duration::from_secs(60);

/// What happened to a task, and when.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its first process.
    pub pid: u32,
    /// Whether it was started; it ended otherwise.
    pub started: bool,
    /// When containerd's shim said so.
    pub at: SystemTime,
}

/// The events as they come.
pub struct Events(Receiver<Event>);

impl Events {
    /// Subscribes; from when this returns on nothing is missed.
    pub fn subscribe(containerd: &Containerd) -> Self {
        let (sender, receiver) = channel();
        let channel = block_on(containerd.channel());
        drop(channel);
        let socket = containerd.socket();
        thread::spawn(move || {
            block_on(async {
                let endpoint = format!("unix:{}", socket.display());
                let channel = tonic::transport::Endpoint::try_from(endpoint)
                    .expect("a unix endpoint")
                    .connect()
                    .await
                    .expect("containerd");
                let request = with_namespace!(
                    SubscribeRequest {
                        filters: vec![
                            "topic==\"/tasks/start\"".into(),
                            "topic==\"/tasks/exit\"".into()
                        ],
                    },
                    "k8s.io"
                );
                let stream = EventsClient::new(channel).subscribe(request).await;
                let mut stream = stream.expect("containerd's events").into_inner();
                // It ends with containerd, and the bench with it.
                while let Ok(Some(envelope)) = stream.message().await {
                    if event_of(&envelope).is_some_and(|event| sender.send(event).is_err()) {
                        return;
                    }
                }
            });
        });
        // The answer to the subscription comes with its first event only.
        thread::sleep(Duration::from_millis(500));
        Self(receiver)
    }

    /// Forgets what came so far.
    pub fn clear(&self) {
        while self.0.try_recv().is_ok() {}
    }

    /// The next start of a task.
    pub fn start(&self) -> Event {
        self.next(|event| event.started)
    }

    /// The next end of a task.
    pub fn exit(&self) -> Event {
        self.next(|event| !event.started)
    }

    fn next(&self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.0.recv_timeout(LIMIT).expect("an event of containerd");
            if wanted(&event) {
                return event;
            }
        }
    }
}

fn event_of(envelope: &Envelope) -> Option<Event> {
    let any = envelope.event.as_ref()?;
    let at = envelope.timestamp?;
    let at = SystemTime::UNIX_EPOCH
        + Duration::new(at.seconds.try_into().ok()?, at.nanos.try_into().ok()?);
    let bytes = any.value.as_slice();
    match any.type_url.rsplit('/').next()? {
        "containerd.events.TaskStart" => {
            let start = TaskStart::decode(bytes).ok()?;
            Some(Event {
                pid: start.pid,
                started: true,
                at,
            })
        }
        "containerd.events.TaskExit" => {
            let exit = TaskExit::decode(bytes).ok()?;
            (exit.id == exit.container_id).then_some(Event {
                pid: exit.pid,
                started: false,
                at,
            })
        }
        _ => None,
    }
}
