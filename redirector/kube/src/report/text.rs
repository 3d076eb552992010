//! Text for the API: bounded sentences, names, times, and a hash that never changes.

use std::time::SystemTime;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::MicroTime, jiff::Timestamp};
use serde_json::Value;

/// The beginning of a text, at most so many bytes; what was cut off shows as `…`.
pub(super) fn bounded(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes - '…'.len_utf8());
    format!("{}…", &text[..end])
}

/// Now by the wall clock, in microseconds: for people, and to tell writes apart; never to decide
/// who leads.
pub(super) fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let micros = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}

/// A time as the API writes it: RFC 3339 with microseconds.
pub(super) fn micro_time(at: Timestamp) -> Value {
    serde_json::to_value(MicroTime(at)).unwrap_or_default()
}

/// A time as conditions have it: RFC 3339 in seconds.
pub(super) fn second_time(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
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
    fn a_bounded_text_ends_between_characters() {
        assert_eq!(bounded("ääää", 8), "ääää");
        assert_eq!(bounded("äääää", 8), "ää…");
    }

    #[test]
    fn times_have_the_precision_that_their_field_has() {
        let at = Timestamp::from_microsecond(1_700_000_000_123_456).expect("in range");
        assert_eq!(micro_time(at), "2023-11-14T22:13:20.123456Z");
        assert_eq!(second_time(at), "2023-11-14T22:13:20Z");
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        // The published value of "a" without a terminator is the state before the zero byte.
        let of_a = 0xaf63_dc4c_8601_ec8c_u64;
        assert_eq!(hash(&["a"]), of_a.wrapping_mul(0x0100_0000_01b3));
        assert_ne!(hash(&["a", "b"]), hash(&["ab", ""]));
    }
}
