//! When a pod is evicted for what its volumes use.
//!
//! As kubelet's eviction manager (`pkg/kubelet/eviction/eviction_manager.go`,
//! `emptyDirLimitEviction`): a volume that uses more than its limit ends the pod with a grace period
//! of a second, and the DaemonSet controller makes another one.

use crate::model::{Amount, Reason};

/// The word of Kubernetes for it.
pub const EVICTED: &str = "Evicted";

/// Why a pod is evicted one of whose emptyDirs uses so many bytes; `None` where it is not.
#[must_use]
pub fn over_limit(volume: &str, limit: &str, used: u64) -> Option<Reason> {
    let most = Amount::written(limit);
    let over = most > Amount::default() && Amount::whole(used) > most;
    over.then(|| {
        let message = format!("Usage of EmptyDir volume {volume:?} exceeds the limit {limit:?}.");
        Reason::new(EVICTED, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_exceeded_by_one_byte_more() {
        assert_eq!(over_limit("tmp", "1Ki", 1024), None);
        let reason = over_limit("tmp", "1Ki", 1025).expect("a reason");
        assert_eq!(
            reason.to_string(),
            "Evicted: Usage of EmptyDir volume \"tmp\" exceeds the limit \"1Ki\"."
        );
        assert_eq!(over_limit("tmp", "0", 1), None, "no limit");
    }
}
