//! Reads addresses strictly, in canonical form.
//!
//! What a text means must not depend on who reads it: no leading zeros, no ports, no scopes. Which
//! addresses are never used, whatever an object says, is in [`redirector_core::address`].

use std::{net::IpAddr, sync::Arc};

use redirector_core::address::{Refusal, usable};
use thiserror::Error;

/// Longest text of an address that a message repeats, in bytes.
const SHOWN: usize = 64;

/// Why the text of an address is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unusable {
    /// No text that all programs read alike.
    #[error("is no address in its usual form")]
    Form,
    /// An address of the other family than its list.
    #[error("is of another family than its list")]
    Family,
    /// An address that no connection is steered to or from.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// An address that is not used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} {why}")]
pub struct Refused {
    /// The text as it was written; a long one is cut.
    pub text: Arc<str>,
    /// Why it is not used.
    pub why: Unusable,
}

/// An address as an object lists it: canonical (never a v4-mapped IPv6 address) and allowed, or
/// why not.
pub type Address = Result<IpAddr, Refused>;

/// Reads an address.
pub(super) fn read(text: &str) -> Address {
    let refuse = |why| Refused { text: cut(text).into(), why };
    // std reads no leading zeros, no shortened IPv4, no scope, no port, no spaces.
    let address = text.parse().map_err(|_| refuse(Unusable::Form))?;
    usable(address).map_err(|why| refuse(why.into()))
}

/// Reads an address of a list that has one family.
pub(super) fn read_of(family: Family, text: &str) -> Address {
    let address = read(text)?;
    if Family::of(address) == family && (family == Family::V4) != text.contains(':') {
        return Ok(address);
    }
    Err(Refused { text: cut(text).into(), why: Unusable::Family })
}

/// `AddressType` of a slice, `IPFamily` of a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of a canonical address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The family of the name that the API gives it.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "IPv4" => Some(Self::V4),
            "IPv6" => Some(Self::V6),
            _ => None,
        }
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHOWN)]
}
