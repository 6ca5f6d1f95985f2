//! The words the layers share: facts, decisions and their reasons. Data only, no behaviour beyond
//! reading itself, and nothing here touches a file, a clock or a socket.

mod action;
mod amount;
mod awaited;
mod command;
mod defect;
mod desired;
pub mod downward;
mod event;
pub mod expand;
mod host_port;
mod memory;
mod node;
mod observed;
pub mod paths;
mod probe;
mod reason;
mod report;
pub mod resources;
mod set_record;
mod snapshot;
pub mod time;
mod verdict;

pub use action::{Action, Outcome, PodPlan, StopKind, StopTarget};
pub use amount::Amount;
pub use awaited::{Found, HostConditions};
pub use command::{Command, Refusal, RolloutCommand};
pub use defect::defect;
pub use desired::{
    BackOff, DesiredPod, Goal, PodRecord, References, Renewal, RolloutDefaults, SetDefaults, Term,
};
pub use event::{Event, EventLog, EventType, Involved, KindKey, Kindred, Note};
pub use host_port::HostPort;
pub use memory::{
    ContainerMemory, Done, Effect, Failure, ImageState, InstanceMemory, PodMemory, PortState,
    PostStart, PullFigures, PullProgress, Stale, VolumePaths, VolumeState,
};
pub use node::{NodeFacts, Taint, TaintEffect};
pub use observed::{
    ContainerId, ContainerState, ObservedContainer, ObservedPod, ObservedSandbox, SandboxId,
    SandboxState,
};
pub use probe::{
    Answer, Check, ProbeFailure, ProbeKind, ProbeResults, ProbeTarget, ProbeTiming, Probed,
};
pub use reason::Reason;
pub use report::{NodeView, PodReport, RolloutReport, SetReport};
pub use set_record::{Bad, Overrides, RevisionRecord, SetRecord, Subject};
pub use snapshot::{Refused, Snapshot, SourceCondition, Unread};
pub use verdict::{IfViolated, Rule, Verdict};
