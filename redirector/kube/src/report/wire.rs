//! Times and names as all agents write them.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::ObjectMeta, jiff::Timestamp};
use serde::Deserialize;

use crate::{
    api::ObjectRef,
    policies::{GROUP, PLURAL, VERSION},
};

/// As much as is asked of most objects.
#[derive(Deserialize)]
pub(super) struct Object {
    pub(super) metadata: ObjectMeta,
}

/// Where a policy is.
pub(super) fn policy_path(policy: &ObjectRef) -> String {
    let ObjectRef { namespace, name } = policy;
    format!("/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}/{name}")
}

/// Now by the wall clock, in the microseconds that the API keeps: for people, and to tell writes
/// apart; never to decide who leads.
pub(super) fn wall() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

/// FNV-1a, 64 bits, of the parts with a zero byte after each: the same in every version, because
/// agents of different versions name the same event and share one election.
pub(super) fn hash(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        // The published value of "a" without a terminator is the state before the zero byte.
        let of_a = 0xaf63_dc4c_8601_ec8c_u64;
        assert_eq!(hash(&["a"]), of_a.wrapping_mul(0x0100_0000_01b3));
        assert_ne!(hash(&["a", "b"]), hash(&["ab", ""]));
    }
}
