//! Field tables of volumes: every source Kubernetes knows, whether this agent can mount it or not.
//!
//! Data only; see the parent module for what the columns mean.

use super::container::{OBJECT_FIELD_SELECTOR, RESOURCE_FIELD_SELECTOR};
use super::meta::{LABEL_SELECTOR, LOCAL_OBJECT_REFERENCE, OBJECT_META};
use super::structs;

structs! {
    AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE "AWSElasticBlockStoreVolumeSource" {
        fsType: Str, partition: Int32, readOnly: Bool, volumeID: Str,
    }
    AZURE_DISK_VOLUME_SOURCE "AzureDiskVolumeSource" {
        cachingMode: StrPtr, diskName: Str, diskURI: Str, fsType: StrPtr, kind: StrPtr,
        readOnly: BoolPtr,
    }
    AZURE_FILE_VOLUME_SOURCE "AzureFileVolumeSource" {
        readOnly: Bool, secretName: Str, shareName: Str,
    }
    CEPH_FS_VOLUME_SOURCE "CephFSVolumeSource" {
        monitors: List(&Str), path: Str, readOnly: Bool, secretFile: Str,
        secretRef: Object(&LOCAL_OBJECT_REFERENCE), user: Str,
    }
    CINDER_VOLUME_SOURCE "CinderVolumeSource" {
        fsType: Str, readOnly: Bool, secretRef: Object(&LOCAL_OBJECT_REFERENCE), volumeID: Str,
    }
    KEY_TO_PATH "KeyToPath" {
        key: Str, mode: Int32Ptr, path: Str,
    }
    CONFIG_MAP_VOLUME_SOURCE "ConfigMapVolumeSource" {
        defaultMode: Int32Ptr, items: List(&Object(&KEY_TO_PATH)), name: Str, optional: BoolPtr,
    }
    CSI_VOLUME_SOURCE "CSIVolumeSource" {
        driver: Str, fsType: StrPtr, nodePublishSecretRef: Object(&LOCAL_OBJECT_REFERENCE),
        readOnly: BoolPtr, volumeAttributes: Map(&Str),
    }
    DOWNWARD_API_VOLUME_FILE "DownwardAPIVolumeFile" {
        fieldRef: Object(&OBJECT_FIELD_SELECTOR), mode: Int32Ptr, path: Str,
        resourceFieldRef: Object(&RESOURCE_FIELD_SELECTOR),
    }
    DOWNWARD_API_VOLUME_SOURCE "DownwardAPIVolumeSource" {
        defaultMode: Int32Ptr, items: List(&Object(&DOWNWARD_API_VOLUME_FILE)),
    }
    EMPTY_DIR_VOLUME_SOURCE "EmptyDirVolumeSource" {
        medium: Str, sizeLimit: Quantity,
    }
    TYPED_LOCAL_OBJECT_REFERENCE "TypedLocalObjectReference" {
        apiGroup: StrPtr, kind: Str, name: Str,
    }
    TYPED_OBJECT_REFERENCE "TypedObjectReference" {
        apiGroup: StrPtr, kind: Str, name: Str, namespace: StrPtr,
    }
    VOLUME_RESOURCE_REQUIREMENTS "VolumeResourceRequirements" {
        limits: Map(&Quantity), requests: Map(&Quantity),
    }
    PERSISTENT_VOLUME_CLAIM_SPEC "PersistentVolumeClaimSpec" {
        accessModes: List(&Str), dataSource: Object(&TYPED_LOCAL_OBJECT_REFERENCE),
        dataSourceRef: Object(&TYPED_OBJECT_REFERENCE),
        resources: Object(&VOLUME_RESOURCE_REQUIREMENTS), selector: Object(&LABEL_SELECTOR),
        storageClassName: StrPtr, volumeAttributesClassName: StrPtr, volumeMode: StrPtr,
        volumeName: Str,
    }
    PERSISTENT_VOLUME_CLAIM_TEMPLATE "PersistentVolumeClaimTemplate" {
        metadata: Object(&OBJECT_META), spec: Object(&PERSISTENT_VOLUME_CLAIM_SPEC),
    }
    EPHEMERAL_VOLUME_SOURCE "EphemeralVolumeSource" {
        volumeClaimTemplate: Object(&PERSISTENT_VOLUME_CLAIM_TEMPLATE),
    }
    FC_VOLUME_SOURCE "FCVolumeSource" {
        fsType: Str, lun: Int32Ptr, readOnly: Bool, targetWWNs: List(&Str), wwids: List(&Str),
    }
    FLEX_VOLUME_SOURCE "FlexVolumeSource" {
        driver: Str, fsType: Str, options: Map(&Str), readOnly: Bool,
        secretRef: Object(&LOCAL_OBJECT_REFERENCE),
    }
    FLOCKER_VOLUME_SOURCE "FlockerVolumeSource" {
        datasetName: Str, datasetUUID: Str,
    }
    GCE_PERSISTENT_DISK_VOLUME_SOURCE "GCEPersistentDiskVolumeSource" {
        fsType: Str, partition: Int32, pdName: Str, readOnly: Bool,
    }
    GIT_REPO_VOLUME_SOURCE "GitRepoVolumeSource" {
        directory: Str, repository: Str, revision: Str,
    }
    GLUSTERFS_VOLUME_SOURCE "GlusterfsVolumeSource" {
        endpoints: Str, path: Str, readOnly: Bool,
    }
    HOST_PATH_VOLUME_SOURCE "HostPathVolumeSource" {
        path: Str, type: StrPtr,
    }
    IMAGE_VOLUME_SOURCE "ImageVolumeSource" {
        pullPolicy: Str, reference: Str,
    }
    ISCSI_VOLUME_SOURCE "ISCSIVolumeSource" {
        chapAuthDiscovery: Bool, chapAuthSession: Bool, fsType: Str, initiatorName: StrPtr,
        iqn: Str, iscsiInterface: Str, lun: Int32, portals: List(&Str), readOnly: Bool,
        secretRef: Object(&LOCAL_OBJECT_REFERENCE), targetPortal: Str,
    }
    NFS_VOLUME_SOURCE "NFSVolumeSource" {
        path: Str, readOnly: Bool, server: Str,
    }
    PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE "PersistentVolumeClaimVolumeSource" {
        claimName: Str, readOnly: Bool,
    }
    PHOTON_PERSISTENT_DISK_VOLUME_SOURCE "PhotonPersistentDiskVolumeSource" {
        fsType: Str, pdID: Str,
    }
    PORTWORX_VOLUME_SOURCE "PortworxVolumeSource" {
        fsType: Str, readOnly: Bool, volumeID: Str,
    }
    CLUSTER_TRUST_BUNDLE_PROJECTION "ClusterTrustBundleProjection" {
        labelSelector: Object(&LABEL_SELECTOR), name: StrPtr, optional: BoolPtr, path: Str,
        signerName: StrPtr,
    }
    CONFIG_MAP_PROJECTION "ConfigMapProjection" {
        items: List(&Object(&KEY_TO_PATH)), name: Str, optional: BoolPtr,
    }
    DOWNWARD_API_PROJECTION "DownwardAPIProjection" {
        items: List(&Object(&DOWNWARD_API_VOLUME_FILE)),
    }
    POD_CERTIFICATE_PROJECTION "PodCertificateProjection" {
        certificateChainPath: Str, credentialBundlePath: Str, keyPath: Str, keyType: Str,
        maxExpirationSeconds: Int32Ptr, signerName: StrPtr, userAnnotations: Map(&Str),
    }
    SECRET_PROJECTION "SecretProjection" {
        items: List(&Object(&KEY_TO_PATH)), name: Str, optional: BoolPtr,
    }
    SERVICE_ACCOUNT_TOKEN_PROJECTION "ServiceAccountTokenProjection" {
        audience: Str, expirationSeconds: Int64Ptr, path: Str,
    }
    VOLUME_PROJECTION "VolumeProjection" {
        clusterTrustBundle: Object(&CLUSTER_TRUST_BUNDLE_PROJECTION),
        configMap: Object(&CONFIG_MAP_PROJECTION), downwardAPI: Object(&DOWNWARD_API_PROJECTION),
        podCertificate: Object(&POD_CERTIFICATE_PROJECTION), secret: Object(&SECRET_PROJECTION),
        serviceAccountToken: Object(&SERVICE_ACCOUNT_TOKEN_PROJECTION),
    }
    PROJECTED_VOLUME_SOURCE "ProjectedVolumeSource" {
        defaultMode: Int32Ptr, sources: List(&Object(&VOLUME_PROJECTION)),
    }
    QUOBYTE_VOLUME_SOURCE "QuobyteVolumeSource" {
        group: Str, readOnly: Bool, registry: Str, tenant: Str, user: Str, volume: Str,
    }
    RBD_VOLUME_SOURCE "RBDVolumeSource" {
        fsType: Str, image: Str, keyring: Str, monitors: List(&Str), pool: Str, readOnly: Bool,
        secretRef: Object(&LOCAL_OBJECT_REFERENCE), user: Str,
    }
    SCALE_IO_VOLUME_SOURCE "ScaleIOVolumeSource" {
        fsType: Str, gateway: Str, protectionDomain: Str, readOnly: Bool,
        secretRef: Object(&LOCAL_OBJECT_REFERENCE), sslEnabled: Bool, storageMode: Str,
        storagePool: Str, system: Str, volumeName: Str,
    }
    SECRET_VOLUME_SOURCE "SecretVolumeSource" {
        defaultMode: Int32Ptr, items: List(&Object(&KEY_TO_PATH)), optional: BoolPtr,
        secretName: Str,
    }
    STORAGE_OS_VOLUME_SOURCE "StorageOSVolumeSource" {
        fsType: Str, readOnly: Bool, secretRef: Object(&LOCAL_OBJECT_REFERENCE), volumeName: Str,
        volumeNamespace: Str,
    }
    VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE "VsphereVirtualDiskVolumeSource" {
        fsType: Str, storagePolicyID: Str, storagePolicyName: Str, volumePath: Str,
    }
    VOLUME "Volume" {
        awsElasticBlockStore: Object(&AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE),
        azureDisk: Object(&AZURE_DISK_VOLUME_SOURCE), azureFile: Object(&AZURE_FILE_VOLUME_SOURCE),
        cephfs: Object(&CEPH_FS_VOLUME_SOURCE), cinder: Object(&CINDER_VOLUME_SOURCE),
        configMap: Object(&CONFIG_MAP_VOLUME_SOURCE), csi: Object(&CSI_VOLUME_SOURCE),
        downwardAPI: Object(&DOWNWARD_API_VOLUME_SOURCE),
        emptyDir: Object(&EMPTY_DIR_VOLUME_SOURCE), ephemeral: Object(&EPHEMERAL_VOLUME_SOURCE),
        fc: Object(&FC_VOLUME_SOURCE), flexVolume: Object(&FLEX_VOLUME_SOURCE),
        flocker: Object(&FLOCKER_VOLUME_SOURCE),
        gcePersistentDisk: Object(&GCE_PERSISTENT_DISK_VOLUME_SOURCE),
        gitRepo: Object(&GIT_REPO_VOLUME_SOURCE), glusterfs: Object(&GLUSTERFS_VOLUME_SOURCE),
        hostPath: Object(&HOST_PATH_VOLUME_SOURCE), image: Object(&IMAGE_VOLUME_SOURCE),
        iscsi: Object(&ISCSI_VOLUME_SOURCE), name: Str, nfs: Object(&NFS_VOLUME_SOURCE),
        persistentVolumeClaim: Object(&PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE),
        photonPersistentDisk: Object(&PHOTON_PERSISTENT_DISK_VOLUME_SOURCE),
        portworxVolume: Object(&PORTWORX_VOLUME_SOURCE),
        projected: Object(&PROJECTED_VOLUME_SOURCE), quobyte: Object(&QUOBYTE_VOLUME_SOURCE),
        rbd: Object(&RBD_VOLUME_SOURCE), scaleIO: Object(&SCALE_IO_VOLUME_SOURCE),
        secret: Object(&SECRET_VOLUME_SOURCE), storageos: Object(&STORAGE_OS_VOLUME_SOURCE),
        vsphereVolume: Object(&VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE),
    }
}
