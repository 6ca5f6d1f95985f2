//! Field tables of the metadata every object carries, and of label selectors.
//!
//! Data only; see the parent module for what the columns mean.

use super::structs;

structs! {
    MANAGED_FIELDS_ENTRY "ManagedFieldsEntry" {
        apiVersion: Str, fieldsType: Str, fieldsV1: Any, manager: Str, operation: Str,
        subresource: Str, time: Time,
    }
    OWNER_REFERENCE "OwnerReference" {
        apiVersion: Str, blockOwnerDeletion: BoolPtr, controller: BoolPtr, kind: Str, name: Str,
        uid: Str,
    }
    OBJECT_META "ObjectMeta" {
        annotations: Map(&Str), creationTimestamp: Time, deletionGracePeriodSeconds: Int64Ptr,
        deletionTimestamp: Time, finalizers: List(&Str), generateName: Str, generation: Int64,
        labels: Map(&Str), managedFields: List(&Object(&MANAGED_FIELDS_ENTRY)), name: Str,
        namespace: Str, ownerReferences: List(&Object(&OWNER_REFERENCE)), resourceVersion: Str,
        selfLink: Str, uid: Str,
    }
    LABEL_SELECTOR_REQUIREMENT "LabelSelectorRequirement" {
        key: Str, operator: Str, values: List(&Str),
    }
    LABEL_SELECTOR "LabelSelector" {
        matchExpressions: List(&Object(&LABEL_SELECTOR_REQUIREMENT)), matchLabels: Map(&Str),
    }
    LOCAL_OBJECT_REFERENCE "LocalObjectReference" {
        name: Str,
    }
}
