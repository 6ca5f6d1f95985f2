//! The `core/v1` Event object.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event as Object, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::model::Event;
use crate::status::time;

/// What events name as the component they come from.
const COMPONENT: &str = "setlet";

/// The object of an event that a node told.
#[must_use]
pub fn event(event: &Event, node: &str) -> Object {
    let involved = &event.note.involved;
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let seconds = |at: Timestamp| Some(time(at));
    Object {
        metadata: ObjectMeta {
            name: Some(event.name.clone()),
            namespace: some(involved.events_namespace()),
            uid: some(&event.uid),
            creation_timestamp: seconds(event.first),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            kind: some(involved.kind),
            api_version: some(involved.api_version),
            namespace: some(&involved.namespace),
            name: some(&involved.name),
            uid: some(&involved.uid),
            field_path: some(&involved.field_path),
            resource_version: None,
        },
        reason: some(&event.note.reason),
        message: some(&event.note.message),
        source: Some(EventSource {
            component: some(COMPONENT),
            host: some(node),
        }),
        reporting_component: some(COMPONENT),
        reporting_instance: some(node),
        first_timestamp: seconds(event.first),
        last_timestamp: seconds(event.last),
        count: Some(i32::try_from(event.count).unwrap_or(i32::MAX)),
        type_: some(event.note.event_type.as_str()),
        ..Object::default()
    }
}
