//! Field tables of containers: environment, probes, ports, security.
//!
//! Data only; see the parent module for what the columns mean.

use super::structs;

structs! {
    CONFIG_MAP_KEY_SELECTOR "ConfigMapKeySelector" {
        key: Str, name: Str, optional: BoolPtr,
    }
    OBJECT_FIELD_SELECTOR "ObjectFieldSelector" {
        apiVersion: Str, fieldPath: Str,
    }
    FILE_KEY_SELECTOR "FileKeySelector" {
        key: Str, optional: BoolPtr, path: Str, volumeName: Str,
    }
    RESOURCE_FIELD_SELECTOR "ResourceFieldSelector" {
        containerName: Str, divisor: Quantity, resource: Str,
    }
    SECRET_KEY_SELECTOR "SecretKeySelector" {
        key: Str, name: Str, optional: BoolPtr,
    }
    ENV_VAR_SOURCE "EnvVarSource" {
        configMapKeyRef: Object(&CONFIG_MAP_KEY_SELECTOR), fieldRef: Object(&OBJECT_FIELD_SELECTOR),
        fileKeyRef: Object(&FILE_KEY_SELECTOR), resourceFieldRef: Object(&RESOURCE_FIELD_SELECTOR),
        secretKeyRef: Object(&SECRET_KEY_SELECTOR),
    }
    ENV_VAR "EnvVar" {
        name: Str, value: Str, valueFrom: Object(&ENV_VAR_SOURCE),
    }
    CONFIG_MAP_ENV_SOURCE "ConfigMapEnvSource" {
        name: Str, optional: BoolPtr,
    }
    SECRET_ENV_SOURCE "SecretEnvSource" {
        name: Str, optional: BoolPtr,
    }
    ENV_FROM_SOURCE "EnvFromSource" {
        configMapRef: Object(&CONFIG_MAP_ENV_SOURCE), prefix: Str,
        secretRef: Object(&SECRET_ENV_SOURCE),
    }
    EXEC_ACTION "ExecAction" {
        command: List(&Str),
    }
    HTTP_HEADER "HTTPHeader" {
        name: Str, value: Str,
    }
    HTTP_GET_ACTION "HTTPGetAction" {
        host: Str, httpHeaders: List(&Object(&HTTP_HEADER)), path: Str, port: IntOrString,
        scheme: Str,
    }
    SLEEP_ACTION "SleepAction" {
        seconds: Int64,
    }
    TCP_SOCKET_ACTION "TCPSocketAction" {
        host: Str, port: IntOrString,
    }
    LIFECYCLE_HANDLER "LifecycleHandler" {
        exec: Object(&EXEC_ACTION), httpGet: Object(&HTTP_GET_ACTION), sleep: Object(&SLEEP_ACTION),
        tcpSocket: Object(&TCP_SOCKET_ACTION),
    }
    LIFECYCLE "Lifecycle" {
        postStart: Object(&LIFECYCLE_HANDLER), preStop: Object(&LIFECYCLE_HANDLER),
        stopSignal: StrPtr,
    }
    GRPC_ACTION "GRPCAction" {
        port: Int32, service: StrPtr,
    }
    PROBE "Probe" {
        exec: Object(&EXEC_ACTION), failureThreshold: Int32, grpc: Object(&GRPC_ACTION),
        httpGet: Object(&HTTP_GET_ACTION), initialDelaySeconds: Int32, periodSeconds: Int32,
        successThreshold: Int32, tcpSocket: Object(&TCP_SOCKET_ACTION),
        terminationGracePeriodSeconds: Int64Ptr, timeoutSeconds: Int32,
    }
    CONTAINER_PORT "ContainerPort" {
        containerPort: Int32, hostIP: Str, hostPort: Int32, name: Str, protocol: Str,
    }
    CONTAINER_RESIZE_POLICY "ContainerResizePolicy" {
        resourceName: Str, restartPolicy: Str,
    }
    RESOURCE_CLAIM "ResourceClaim" {
        name: Str, request: Str,
    }
    RESOURCE_REQUIREMENTS "ResourceRequirements" {
        claims: List(&Object(&RESOURCE_CLAIM)), limits: Map(&Quantity), requests: Map(&Quantity),
    }
    CONTAINER_RESTART_RULE_ON_EXIT_CODES "ContainerRestartRuleOnExitCodes" {
        operator: Str, values: List(&Int32),
    }
    CONTAINER_RESTART_RULE "ContainerRestartRule" {
        action: Str, exitCodes: Object(&CONTAINER_RESTART_RULE_ON_EXIT_CODES),
    }
    APP_ARMOR_PROFILE "AppArmorProfile" {
        localhostProfile: StrPtr, type: Str,
    }
    CAPABILITIES "Capabilities" {
        add: List(&Str), drop: List(&Str),
    }
    SE_LINUX_OPTIONS "SELinuxOptions" {
        level: Str, role: Str, type: Str, user: Str,
    }
    SECCOMP_PROFILE "SeccompProfile" {
        localhostProfile: StrPtr, type: Str,
    }
    WINDOWS_SECURITY_CONTEXT_OPTIONS "WindowsSecurityContextOptions" {
        gmsaCredentialSpec: StrPtr, gmsaCredentialSpecName: StrPtr, hostProcess: BoolPtr,
        runAsUserName: StrPtr,
    }
    SECURITY_CONTEXT "SecurityContext" {
        allowPrivilegeEscalation: BoolPtr, appArmorProfile: Object(&APP_ARMOR_PROFILE),
        capabilities: Object(&CAPABILITIES), privileged: BoolPtr, procMount: StrPtr,
        readOnlyRootFilesystem: BoolPtr, runAsGroup: Int64Ptr, runAsNonRoot: BoolPtr,
        runAsUser: Int64Ptr, seLinuxOptions: Object(&SE_LINUX_OPTIONS),
        seccompProfile: Object(&SECCOMP_PROFILE),
        windowsOptions: Object(&WINDOWS_SECURITY_CONTEXT_OPTIONS),
    }
    VOLUME_DEVICE "VolumeDevice" {
        devicePath: Str, name: Str,
    }
    VOLUME_MOUNT "VolumeMount" {
        mountPath: Str, mountPropagation: StrPtr, name: Str, readOnly: Bool,
        recursiveReadOnly: StrPtr, subPath: Str, subPathExpr: Str,
    }
    CONTAINER "Container" {
        args: List(&Str), command: List(&Str), env: List(&Object(&ENV_VAR)),
        envFrom: List(&Object(&ENV_FROM_SOURCE)), image: Str, imagePullPolicy: Str,
        lifecycle: Object(&LIFECYCLE), livenessProbe: Object(&PROBE), name: Str,
        ports: List(&Object(&CONTAINER_PORT)), readinessProbe: Object(&PROBE),
        resizePolicy: List(&Object(&CONTAINER_RESIZE_POLICY)),
        resources: Object(&RESOURCE_REQUIREMENTS), restartPolicy: StrPtr,
        restartPolicyRules: List(&Object(&CONTAINER_RESTART_RULE)),
        securityContext: Object(&SECURITY_CONTEXT), startupProbe: Object(&PROBE), stdin: Bool,
        stdinOnce: Bool, terminationMessagePath: Str, terminationMessagePolicy: Str, tty: Bool,
        volumeDevices: List(&Object(&VOLUME_DEVICE)), volumeMounts: List(&Object(&VOLUME_MOUNT)),
        workingDir: Str,
    }
    EPHEMERAL_CONTAINER "EphemeralContainer" {
        args: List(&Str), command: List(&Str), env: List(&Object(&ENV_VAR)),
        envFrom: List(&Object(&ENV_FROM_SOURCE)), image: Str, imagePullPolicy: Str,
        lifecycle: Object(&LIFECYCLE), livenessProbe: Object(&PROBE), name: Str,
        ports: List(&Object(&CONTAINER_PORT)), readinessProbe: Object(&PROBE),
        resizePolicy: List(&Object(&CONTAINER_RESIZE_POLICY)),
        resources: Object(&RESOURCE_REQUIREMENTS), restartPolicy: Str,
        restartPolicyRules: List(&Object(&CONTAINER_RESTART_RULE)),
        securityContext: Object(&SECURITY_CONTEXT), startupProbe: Object(&PROBE), stdin: Bool,
        stdinOnce: Bool, targetContainerName: Str, terminationMessagePath: Str,
        terminationMessagePolicy: Str, tty: Bool, volumeDevices: List(&Object(&VOLUME_DEVICE)),
        volumeMounts: List(&Object(&VOLUME_MOUNT)), workingDir: Str,
    }
}
