//! Finds where members of the kernel's own structures are, in the types that it describes (BTF).
//!
//! The programs get the offsets as constants; nothing is relocated.

use std::{
    fs,
    io::ErrorKind::{NotFound, PermissionDenied},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use tracing::warn;

use super::descriptors::is_passing;

/// Where a running kernel describes its types.
pub const KERNEL: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;
const STRUCT: u32 = 4;
/// Bytes of a type before what its kind adds.
const TYPE: usize = 12;

/// Offsets in a `tcp_sock`, in bytes. It begins with an `inet_connection_sock`, that with an
/// `inet_sock`, and that with a `sock`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    /// `sk_err`: why a connect failed.
    pub sk_err: Option<u32>,
    /// `sk_err_soft`: the same, of an error that came while the application held the socket.
    pub sk_err_soft: Option<u32>,
    /// `icsk_user_timeout`: the application's `TCP_USER_TIMEOUT`.
    pub user_timeout: Option<u32>,
    /// `icsk_syn_retries`: the application's `TCP_SYNCNT`.
    pub syn_retries: Option<u32>,
}

/// The types that the running kernel describes; `None` where it describes none, or not to this process.
///
/// # Errors
///
/// They cannot be read, and could not be in half a second. That says nothing about the kernel: to
/// load without them would give up for good what they are needed for.
pub(super) fn of_kernel() -> Result<Option<Vec<u8>>> {
    const TRIES: u32 = 6;
    const PAUSE: Duration = Duration::from_millis(100);
    for left in (0..TRIES).rev() {
        match fs::read(KERNEL) {
            Err(error) if matches!(error.kind(), NotFound | PermissionDenied) => return Ok(None),
            Err(error) if is_passing(&error) && left > 0 => thread::sleep(PAUSE),
            result => return result.map(Some).with_context(|| format!("cannot read {KERNEL}")),
        }
    }
    unreachable!("the last try returns")
}

impl Offsets {
    /// Where those members are by these types; none without types.
    #[must_use]
    pub(super) fn of(types: Option<&[u8]>) -> Self {
        let found = types.map(Self::find).transpose();
        found.map(Option::unwrap_or_default).unwrap_or_else(|error| {
            warn!(error = format!("{error:#}"), "{KERNEL} is not understood");
            Self::default()
        })
    }

    fn find(btf: &[u8]) -> Result<Self> {
        Ok(Self {
            sk_err: member(btf, "sock", "sk_err")?,
            sk_err_soft: member(btf, "sock", "sk_err_soft")?,
            user_timeout: member(btf, "inet_connection_sock", "icsk_user_timeout")?,
            syn_retries: member(btf, "inet_connection_sock", "icsk_syn_retries")?,
        })
    }
}

/// The offset in bytes of a member of a structure; `None` if there is no such member, or it is a
/// bit field.
///
/// # Errors
///
/// These are no types.
pub(super) fn member(btf: &[u8], structure: &str, member: &str) -> Result<Option<u32>> {
    let (types, names) = sections(btf)?;
    let mut at = 0;
    while at < types.len() {
        let info = word(types, at + 4)?;
        let (kind, count) = (info >> 24 & 0x1f, info as usize & 0xffff);
        if kind == STRUCT && is_named(names, word(types, at)?, structure) {
            for field in (0..count).map(|field| at + TYPE + field * TYPE) {
                if is_named(names, word(types, field)?, member) {
                    let bits = word(types, field + 8)?;
                    return Ok((bits % 8 == 0 && bits >> 24 == 0).then_some(bits / 8));
                }
            }
        }
        at += TYPE + added(kind, count).with_context(|| format!("BTF of kind {kind}"))?;
    }
    Ok(None)
}

/// Bytes that a type of that kind adds (Documentation/bpf/btf.rst).
fn added(kind: u32, count: usize) -> Option<usize> {
    Some(match kind {
        // Pointers, forward declarations, typedefs, qualifiers, functions, floats, type tags.
        2 | 7..=12 | 16 | 18 => 0,
        // Integers, variables, declaration tags.
        1 | 14 | 17 => 4,
        // Arrays.
        3 => 12,
        // Structures, unions, sections of data, enumerations of 64 bits.
        4 | 5 | 15 | 19 => 12 * count,
        // Enumerations, prototypes of functions.
        6 | 13 => 8 * count,
        _ => return None,
    })
}

/// The types and their names.
fn sections(btf: &[u8]) -> Result<(&[u8], &[u8])> {
    let magic = btf.get(..2).context("BTF without header")?;
    ensure!(magic == MAGIC.to_ne_bytes(), "this is no BTF");
    let header = word(btf, 4)? as usize;
    let section = |at: usize| {
        let start = header + word(btf, at)? as usize;
        let end = start + word(btf, at + 4)? as usize;
        btf.get(start..end).context("BTF is cut off")
    };
    Ok((section(8)?, section(16)?))
}

fn is_named(names: &[u8], offset: u32, name: &str) -> bool {
    let rest = names.get(offset as usize..).and_then(|rest| rest.strip_prefix(name.as_bytes()));
    rest.is_some_and(|rest| rest.first() == Some(&0))
}

fn word(bytes: &[u8], at: usize) -> Result<u32> {
    let word = bytes.get(at..at + 4).context("BTF is cut off")?;
    Ok(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pointer, then `struct sock { u32 sk_errors; u32 sk_err; u32 sk_bits:3 }`.
    fn example() -> Vec<u8> {
        let names = b"\0sock\0sk_errors\0sk_err\0sk_bits\0";
        let name = |name: &str| {
            let wanted = [name.as_bytes(), b"\0"].concat();
            names.windows(wanted.len()).position(|at| at == wanted).expect("a name") as u32
        };
        let mut types = vec![0, 2 << 24, 0];
        types.extend([name("sock"), 1 << 31 | STRUCT << 24 | 3, 12]);
        types.extend([name("sk_errors"), 0, 0, name("sk_err"), 0, 32]);
        types.extend([name("sk_bits"), 0, 3 << 24 | 64]);
        let types: Vec<u8> = types.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let header = [24, 0, types.len() as u32, types.len() as u32, names.len() as u32];
        let mut btf = MAGIC.to_ne_bytes().to_vec();
        btf.extend([1, 0]);
        btf.extend(header.iter().flat_map(|word| word.to_ne_bytes()));
        btf.extend(types);
        btf.extend(names);
        btf
    }

    #[test]
    fn a_member_is_found_by_its_whole_name() {
        let btf = example();
        assert_eq!(member(&btf, "sock", "sk_err").expect("BTF"), Some(4));
        assert_eq!(member(&btf, "sock", "sk_errors").expect("BTF"), Some(0));
        assert_eq!(member(&btf, "sock", "sk_bits").expect("BTF"), None, "a bit field");
        assert_eq!(member(&btf, "sock", "sk").expect("BTF"), None);
        assert_eq!(member(&btf, "soc", "sk_err").expect("BTF"), None);
    }

    #[test]
    fn what_is_cut_off_is_refused_and_never_read_past_its_end() {
        let btf = example();
        for length in 0..btf.len() {
            assert!(member(&btf[..length], "sock", "nothing").is_err(), "{length} bytes");
        }
        assert!(member(b"\0\0\0\0\0\0", "sock", "sk_err").is_err());
    }

    #[test]
    fn this_kernel_says_where_all_are() {
        if let Some(types) = of_kernel().expect("it can be read") {
            let offsets = Offsets::of(Some(&types));
            let Offsets { sk_err, sk_err_soft, user_timeout, syn_retries } = offsets;
            assert!(sk_err.is_some_and(|offset| offset > 0), "{offsets:?}");
            assert!(sk_err_soft.is_some() && sk_err_soft != sk_err, "{offsets:?}");
            assert!(user_timeout > sk_err && syn_retries > sk_err, "{offsets:?}");
        }
    }
}
