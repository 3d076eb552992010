//! Descriptors: as many as this process may have, and a plain word where they do not suffice.

use std::io;

use nix::{
    errno::Errno,
    sys::resource::{Resource, getrlimit, setrlimit},
};
use tracing::debug;

/// Raises the limit as far as this process may. Loading takes some 200 at once, and what starts
/// processes leaves them 1,024 for the sake of select(2), which nothing here calls.
pub fn raise_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        debug!(%error, "cannot raise RLIMIT_NOFILE");
    }
}

/// What to do, if something has failed for want of descriptors.
#[must_use]
pub fn advice(error: &anyhow::Error) -> Option<String> {
    let mut causes = error.chain().filter_map(|cause| {
        let io = cause.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        io.map(Errno::from_raw).or_else(|| cause.downcast_ref().copied())
    });
    let of_process = causes.find_map(|errno| match errno {
        Errno::EMFILE => Some(true),
        Errno::ENFILE => Some(false),
        _ => None,
    })?;
    if !of_process {
        return Some("the whole system has too few descriptors; raise fs.file-max".to_owned());
    }
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(limit, _)| limit);
    Some(format!(
        "this process may have {limit} descriptors, which do not suffice; raise `ulimit -n`, or \
         LimitNOFILE= of a systemd unit"
    ))
}

/// Whether it may succeed a moment later, because it failed for want of descriptors or memory, or was
/// interrupted: it says nothing about what this kernel can do.
#[must_use]
pub fn is_passing(error: &io::Error) -> bool {
    use Errno::{EAGAIN, EINTR, EMFILE, ENFILE, ENOMEM};
    let errno = error.raw_os_error().map(Errno::from_raw);
    errno.is_some_and(|errno| matches!(errno, EAGAIN | EINTR | EMFILE | ENFILE | ENOMEM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_short_is_told_wherever_it_was() {
        let of = |errno| {
            let error = anyhow::Error::new(io::Error::from_raw_os_error(errno));
            advice(&error.context("cannot load connect4")).unwrap_or_default()
        };
        assert!(of(libc::EMFILE).contains("raise `ulimit -n`"), "{}", of(libc::EMFILE));
        assert!(of(libc::ENFILE).contains("fs.file-max"), "{}", of(libc::ENFILE));
        assert_eq!(of(libc::EACCES), "");
        let nix = anyhow::Error::new(Errno::EMFILE).context("cannot lock");
        assert!(advice(&nix).is_some());
    }

    #[test]
    fn a_refusal_is_told_from_what_may_succeed_a_moment_later() {
        for (errno, expected) in [
            (libc::EMFILE, true),
            (libc::ENOMEM, true),
            (libc::EACCES, false),
            (libc::E2BIG, false),
        ] {
            assert_eq!(is_passing(&io::Error::from_raw_os_error(errno)), expected, "{errno}");
        }
    }
}
