//! Field tables of the kinds the agent takes.
//!
//! Data only; see the parent module for what the columns mean.

use super::meta::{LABEL_SELECTOR, OBJECT_META};
use super::pod::POD_TEMPLATE_SPEC;
use super::structs;

structs! {
    ROLLING_UPDATE_DAEMON_SET "RollingUpdateDaemonSet" {
        maxSurge: IntOrString, maxUnavailable: IntOrString,
    }
    DAEMON_SET_UPDATE_STRATEGY "DaemonSetUpdateStrategy" {
        rollingUpdate: Object(&ROLLING_UPDATE_DAEMON_SET), type: Str,
    }
    DAEMON_SET_SPEC "DaemonSetSpec" {
        minReadySeconds: Int32, revisionHistoryLimit: Int32Ptr, selector: Object(&LABEL_SELECTOR),
        template: Object(&POD_TEMPLATE_SPEC), updateStrategy: Object(&DAEMON_SET_UPDATE_STRATEGY),
    }
    DAEMON_SET_CONDITION "DaemonSetCondition" {
        lastTransitionTime: Time, message: Str, reason: Str, status: Str, type: Str,
    }
    DAEMON_SET_STATUS "DaemonSetStatus" {
        collisionCount: Int32Ptr, conditions: List(&Object(&DAEMON_SET_CONDITION)),
        currentNumberScheduled: Int32, desiredNumberScheduled: Int32, numberAvailable: Int32,
        numberMisscheduled: Int32, numberReady: Int32, numberUnavailable: Int32,
        observedGeneration: Int64, updatedNumberScheduled: Int32,
    }
    DAEMON_SET "DaemonSet" {
        apiVersion: Str, kind: Str, metadata: Object(&OBJECT_META), spec: Object(&DAEMON_SET_SPEC),
        status: Object(&DAEMON_SET_STATUS),
    }
    CONFIG_MAP "ConfigMap" {
        apiVersion: Str, kind: Str, binaryData: Map(&Bytes), data: Map(&Str), immutable: BoolPtr,
        metadata: Object(&OBJECT_META),
    }
    SECRET "Secret" {
        apiVersion: Str, kind: Str, data: Map(&Bytes), immutable: BoolPtr,
        metadata: Object(&OBJECT_META), stringData: Map(&Str), type: Str,
    }
}
