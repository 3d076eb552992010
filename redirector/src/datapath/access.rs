//! Who may use what is pinned; no other user may at any time on the way there.
//!
//! | `--owner` | pins | directories |
//! |---|---|---|
//! | none | 0600 | 0700 |
//! | another user | theirs, 0600 | theirs, 0700; giving them away takes `CAP_CHOWN` |
//! | the loader's own user, and a group of another number | that group's, 0660 | 0770 |
//!
//! The last is for a loader that may do nothing but load, and has that group: it shares what it makes
//! with an agent of another user. A process that is neither that user's nor in the group can open no pin.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};

/// Who may use what is pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// User and group that own it; `None` leaves them as they are.
    owner: Option<(u32, u32)>,
    /// The group may what the user may.
    is_shared: bool,
}

impl Access {
    /// What `--owner` means to this process.
    #[must_use]
    pub fn new(owner: Option<(u32, u32)>) -> Self {
        Self::to_user(owner, nix::unistd::geteuid().as_raw())
    }

    fn to_user(owner: Option<(u32, u32)>, this: u32) -> Self {
        let is_shared = owner.is_some_and(|(user, group)| user == this && group != user);
        Self { owner, is_shared }
    }

    /// Gives a directory, or a pin in one, to those who may use it. What is theirs already is left
    /// as it is: no moment in which they could not open it, and none in which others could.
    ///
    /// # Errors
    ///
    /// It is a symbolic link; or this process may not.
    pub fn grant(self, path: &Path) -> Result<()> {
        let shown = path.display();
        let is = fs::symlink_metadata(path).with_context(|| format!("cannot look at {shown}"))?;
        ensure!(
            !is.is_symlink(),
            "{shown} is a symbolic link, which redirector never makes; remove it"
        );
        let private = if is.is_dir() { 0o700 } else { 0o600 };
        // Of the user's bits the group gets the same.
        let wanted = if self.is_shared { private | private >> 3 } else { private };
        let (user, group) = self.owner.unwrap_or((is.uid(), is.gid()));
        let mut mode = is.mode() & 0o7777;
        let restrict = |mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))
                .with_context(|| format!("cannot set the mode of {shown} to {mode:o}"))
        };
        if (is.uid(), is.gid()) != (user, group) {
            if mode != private {
                restrict(private)?;
                mode = private;
            }
            let given = |new, old| (new != old).then_some(new);
            lchown(path, given(user, is.uid()), given(group, is.gid())).with_context(|| {
                format!(
                    "cannot give {shown} to {user}:{group}; another user takes CAP_CHOWN, and \
                     another group one that this process has"
                )
            })?;
        }
        if mode != wanted {
            restrict(wanted)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").mode() & 0o7777
    }

    #[test]
    fn only_the_own_user_with_a_group_of_another_number_shares() {
        let is_shared = |owner| Access::to_user(owner, 7).is_shared;
        assert!(is_shared(Some((7, 65_532))));
        assert!(!is_shared(Some((7, 7))), "`--owner 7` names no group");
        assert!(!is_shared(Some((65_532, 65_532))));
        assert!(!is_shared(Some((8, 7))));
        assert!(!is_shared(None));
    }

    #[test]
    fn what_is_too_wide_or_too_narrow_is_set_and_what_is_right_is_not_touched() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("pin");
        fs::write(&file, "").expect("a file");
        let is = fs::metadata(&file).expect("it is there");
        let shared = Access { owner: Some((is.uid(), is.gid())), is_shared: true };
        let private = Access { owner: None, is_shared: false };
        for (path, narrow, wide) in [(&*file, 0o600, 0o660), (directory.path(), 0o700, 0o770)] {
            for before in [0o777, 0o755, 0o600 | narrow, wide] {
                fs::set_permissions(path, fs::Permissions::from_mode(before)).expect("a mode");
                shared.grant(path).expect("granted");
                assert_eq!(mode(path), wide, "{before:o}");
                let changed = fs::metadata(path).expect("it is there").ctime_nsec();
                shared.grant(path).expect("granted");
                assert_eq!(fs::metadata(path).expect("it is there").ctime_nsec(), changed);
                private.grant(path).expect("granted");
                assert_eq!(mode(path), narrow, "{before:o}");
            }
        }
    }

    /// A user who may write the directory could else have the loader open another user's pin.
    #[test]
    fn a_symbolic_link_is_not_followed() {
        let directory = tempfile::tempdir().expect("a directory");
        let (file, link) = (directory.path().join("theirs"), directory.path().join("link"));
        fs::write(&file, "").expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a mode");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        let shared = Access { owner: None, is_shared: true };
        let error = shared.grant(&link).expect_err("a link");
        assert!(format!("{error:#}").contains("is a symbolic link"), "{error:#}");
        assert_eq!(mode(&file), 0o600);
    }
}
