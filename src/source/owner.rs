//! Whether a file or directory can be written by somebody who must not decide what runs as root.
//!
//! Pure: takes owner, group and mode, says why not. A directory counts because whoever can write it
//! can replace the files in it; the sticky bit takes that away again. Access control lists show in
//! the group bits of the mode, so they are covered.

use super::Writers;

/// Owner and permissions of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
}

/// Why a file or directory is not trusted; `None` where it is. `own` is the agent's own user.
pub(super) fn distrust(what: &str, owner: Owner, own: u32, writers: Writers) -> Option<String> {
    const STICKY: u32 = 0o1000;
    const DIRECTORY: u32 = 0o040_000;
    const TYPE: u32 = 0o170_000;
    if writers == Writers::Anyone {
        return None;
    }
    let Owner { uid, gid, mode } = owner;
    let permissions = mode & 0o7777;
    let fix = "make it writable by root only, or set manifests.allowUnprivilegedOwners";
    if uid != 0 && uid != own {
        return Some(format!(
            "{what} is owned by user {uid} (mode {permissions:04o}), who could change what runs \
             here; {fix}"
        ));
    }
    let sticky = mode & TYPE == DIRECTORY && mode & STICKY != 0;
    if mode & 0o002 != 0 && !sticky {
        return Some(format!(
            "{what} is writable by every user (mode {permissions:04o}, owner {uid}); {fix}"
        ));
    }
    if mode & 0o020 != 0 && gid != 0 && !sticky {
        return Some(format!(
            "{what} is writable by group {gid} (mode {permissions:04o}, owner {uid}); {fix}"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(uid: u32, gid: u32, mode: u32) -> Option<String> {
        distrust(
            "/m/a.yaml",
            Owner { uid, gid, mode },
            1000,
            Writers::RootOnly,
        )
    }

    #[test]
    fn root_and_the_agents_own_user_are_trusted() {
        assert_eq!(why(0, 0, 0o100_644), None);
        assert_eq!(why(1000, 1000, 0o100_600), None);
        assert_eq!(why(0, 0, 0o100_664), None, "only root is in root's group");
        assert_eq!(
            why(0, 0, 0o041_777),
            None,
            "sticky: files cannot be replaced"
        );
    }

    #[test]
    fn others_are_named_with_mode_and_owner() {
        let fix = "make it writable by root only, or set manifests.allowUnprivilegedOwners";
        assert_eq!(
            why(33, 33, 0o100_644).as_deref(),
            Some(&*format!(
                "/m/a.yaml is owned by user 33 (mode 0644), who could change what runs here; {fix}"
            ))
        );
        assert_eq!(
            why(0, 0, 0o100_666).as_deref(),
            Some(&*format!(
                "/m/a.yaml is writable by every user (mode 0666, owner 0); {fix}"
            ))
        );
        assert_eq!(
            why(0, 33, 0o100_664).as_deref(),
            Some(&*format!(
                "/m/a.yaml is writable by group 33 (mode 0664, owner 0); {fix}"
            ))
        );
        assert!(
            why(0, 0, 0o101_666).is_some(),
            "sticky means nothing on a file"
        );
    }

    #[test]
    fn anyone_may_write_where_that_is_configured() {
        let owner = Owner {
            uid: 33,
            gid: 33,
            mode: 0o100_666,
        };
        assert_eq!(distrust("x", owner, 0, Writers::Anyone), None);
    }
}
