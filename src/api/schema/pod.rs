//! Field tables of the pod spec around its containers and volumes.
//!
//! Data only; see the parent module for what the columns mean.

use super::container::{
    APP_ARMOR_PROFILE, CONTAINER, EPHEMERAL_CONTAINER, RESOURCE_REQUIREMENTS, SE_LINUX_OPTIONS,
    SECCOMP_PROFILE, WINDOWS_SECURITY_CONTEXT_OPTIONS,
};
use super::meta::{LABEL_SELECTOR, LOCAL_OBJECT_REFERENCE, OBJECT_META};
use super::structs;
use super::volume::VOLUME;

structs! {
    NODE_SELECTOR_REQUIREMENT "NodeSelectorRequirement" {
        key: Str, operator: Str, values: List(&Str),
    }
    NODE_SELECTOR_TERM "NodeSelectorTerm" {
        matchExpressions: List(&Object(&NODE_SELECTOR_REQUIREMENT)),
        matchFields: List(&Object(&NODE_SELECTOR_REQUIREMENT)),
    }
    PREFERRED_SCHEDULING_TERM "PreferredSchedulingTerm" {
        preference: Object(&NODE_SELECTOR_TERM), weight: Int32,
    }
    NODE_SELECTOR "NodeSelector" {
        nodeSelectorTerms: List(&Object(&NODE_SELECTOR_TERM)),
    }
    NODE_AFFINITY "NodeAffinity" {
        preferredDuringSchedulingIgnoredDuringExecution: List(&Object(&PREFERRED_SCHEDULING_TERM)),
        requiredDuringSchedulingIgnoredDuringExecution: Object(&NODE_SELECTOR),
    }
    POD_AFFINITY_TERM "PodAffinityTerm" {
        labelSelector: Object(&LABEL_SELECTOR), matchLabelKeys: List(&Str),
        mismatchLabelKeys: List(&Str), namespaceSelector: Object(&LABEL_SELECTOR),
        namespaces: List(&Str), topologyKey: Str,
    }
    WEIGHTED_POD_AFFINITY_TERM "WeightedPodAffinityTerm" {
        podAffinityTerm: Object(&POD_AFFINITY_TERM), weight: Int32,
    }
    POD_AFFINITY "PodAffinity" {
        preferredDuringSchedulingIgnoredDuringExecution: List(&Object(&WEIGHTED_POD_AFFINITY_TERM)),
        requiredDuringSchedulingIgnoredDuringExecution: List(&Object(&POD_AFFINITY_TERM)),
    }
    POD_ANTI_AFFINITY "PodAntiAffinity" {
        preferredDuringSchedulingIgnoredDuringExecution: List(&Object(&WEIGHTED_POD_AFFINITY_TERM)),
        requiredDuringSchedulingIgnoredDuringExecution: List(&Object(&POD_AFFINITY_TERM)),
    }
    AFFINITY "Affinity" {
        nodeAffinity: Object(&NODE_AFFINITY), podAffinity: Object(&POD_AFFINITY),
        podAntiAffinity: Object(&POD_ANTI_AFFINITY),
    }
    POD_DNS_CONFIG_OPTION "PodDNSConfigOption" {
        name: Str, value: StrPtr,
    }
    POD_DNS_CONFIG "PodDNSConfig" {
        nameservers: List(&Str), options: List(&Object(&POD_DNS_CONFIG_OPTION)),
        searches: List(&Str),
    }
    HOST_ALIAS "HostAlias" {
        hostnames: List(&Str), ip: Str,
    }
    POD_OS "PodOS" {
        name: Str,
    }
    POD_READINESS_GATE "PodReadinessGate" {
        conditionType: Str,
    }
    POD_RESOURCE_CLAIM "PodResourceClaim" {
        name: Str, resourceClaimName: StrPtr, resourceClaimTemplateName: StrPtr,
    }
    POD_SCHEDULING_GATE "PodSchedulingGate" {
        name: Str,
    }
    POD_SCHEDULING_GROUP "PodSchedulingGroup" {
        podGroupName: StrPtr,
    }
    SYSCTL "Sysctl" {
        name: Str, value: Str,
    }
    POD_SECURITY_CONTEXT "PodSecurityContext" {
        appArmorProfile: Object(&APP_ARMOR_PROFILE), fsGroup: Int64Ptr, fsGroupChangePolicy: StrPtr,
        runAsGroup: Int64Ptr, runAsNonRoot: BoolPtr, runAsUser: Int64Ptr,
        seLinuxChangePolicy: StrPtr, seLinuxOptions: Object(&SE_LINUX_OPTIONS),
        seccompProfile: Object(&SECCOMP_PROFILE), supplementalGroups: List(&Int64),
        supplementalGroupsPolicy: StrPtr, sysctls: List(&Object(&SYSCTL)),
        windowsOptions: Object(&WINDOWS_SECURITY_CONTEXT_OPTIONS),
    }
    TOLERATION "Toleration" {
        effect: Str, key: Str, operator: Str, tolerationSeconds: Int64Ptr, value: Str,
    }
    TOPOLOGY_SPREAD_CONSTRAINT "TopologySpreadConstraint" {
        labelSelector: Object(&LABEL_SELECTOR), matchLabelKeys: List(&Str), maxSkew: Int32,
        minDomains: Int32Ptr, nodeAffinityPolicy: StrPtr, nodeTaintsPolicy: StrPtr,
        topologyKey: Str, whenUnsatisfiable: Str,
    }
    POD_SPEC "PodSpec" {
        activeDeadlineSeconds: Int64Ptr, affinity: Object(&AFFINITY),
        automountServiceAccountToken: BoolPtr, containers: List(&Object(&CONTAINER)),
        dnsConfig: Object(&POD_DNS_CONFIG), dnsPolicy: Str, enableServiceLinks: BoolPtr,
        ephemeralContainers: List(&Object(&EPHEMERAL_CONTAINER)),
        hostAliases: List(&Object(&HOST_ALIAS)), hostIPC: Bool, hostNetwork: Bool, hostPID: Bool,
        hostUsers: BoolPtr, hostname: Str, hostnameOverride: StrPtr,
        imagePullSecrets: List(&Object(&LOCAL_OBJECT_REFERENCE)),
        initContainers: List(&Object(&CONTAINER)), nodeName: Str, nodeSelector: Map(&Str),
        os: Object(&POD_OS), overhead: Map(&Quantity), preemptionPolicy: StrPtr, priority: Int32Ptr,
        priorityClassName: Str, readinessGates: List(&Object(&POD_READINESS_GATE)),
        resourceClaims: List(&Object(&POD_RESOURCE_CLAIM)),
        resources: Object(&RESOURCE_REQUIREMENTS), restartPolicy: Str, runtimeClassName: StrPtr,
        schedulerName: Str, schedulingGates: List(&Object(&POD_SCHEDULING_GATE)),
        schedulingGroup: Object(&POD_SCHEDULING_GROUP),
        securityContext: Object(&POD_SECURITY_CONTEXT), serviceAccount: Str,
        serviceAccountName: Str, setHostnameAsFQDN: BoolPtr, shareProcessNamespace: BoolPtr,
        subdomain: Str, terminationGracePeriodSeconds: Int64Ptr,
        tolerations: List(&Object(&TOLERATION)),
        topologySpreadConstraints: List(&Object(&TOPOLOGY_SPREAD_CONSTRAINT)),
        volumes: List(&Object(&VOLUME)),
    }
    POD_TEMPLATE_SPEC "PodTemplateSpec" {
        metadata: Object(&OBJECT_META), spec: Object(&POD_SPEC),
    }
}
