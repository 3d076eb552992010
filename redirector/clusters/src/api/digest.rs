//! Names and digests that exporter and importer make alike.
//!
//! A field that a later version adds stays out of the digests, so that clusters of two versions agree.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::{ExportedServiceSpec, OutboxSlice};

/// Longest value of a label, in bytes.
const LABEL: usize = 63;
/// Longest name of an object, in bytes.
const NAME: usize = 253;

/// `metadata.name` of the ExportedService of a Service: `<namespace>.<name>`, or its hash above 253
/// bytes.
#[must_use]
pub fn export_name(namespace: &str, name: &str) -> String {
    bounded(format!("{namespace}.{name}"), NAME)
}

/// What a slice of the outbox has as label [`EXPORTED_SERVICE`](super::EXPORTED_SERVICE): the name of
/// the ExportedService, which may be longer than a label's value: then its beginning and a hash.
#[must_use]
pub fn export_label(name: &str) -> String {
    bounded(name.to_owned(), LABEL)
}

/// SHA-256 of the content of one Service's slices, in hex: `spec.digest` of its ExportedService. Which
/// slice is first, and what slices are called, does not matter.
#[must_use]
pub fn slices_digest<'s>(slices: impl IntoIterator<Item = &'s OutboxSlice>) -> String {
    slices_digest_of(slices.into_iter().map(slice_fingerprint))
}

/// What one slice adds to [`slices_digest`].
#[must_use]
pub fn slice_fingerprint(slice: &OutboxSlice) -> [u8; 32] {
    Sha256::digest(serde_json::to_vec(slice).unwrap_or_default()).into()
}

/// [`slices_digest`] of slices whose [`slice_fingerprint`]s these are.
#[must_use]
pub fn slices_digest_of(fingerprints: impl IntoIterator<Item = [u8; 32]>) -> String {
    let mut each: Vec<[u8; 32]> = fingerprints.into_iter().collect();
    each.sort_unstable();
    hex(&Sha256::digest(each.concat()))
}

/// What one ExportedService adds to [`outbox_digest`].
#[must_use]
pub fn export_fingerprint(name: &str, spec: &ExportedServiceSpec) -> [u8; 32] {
    Sha256::digest(serde_json::to_vec(&(name, spec)).unwrap_or_default()).into()
}

/// SHA-256 over all ExportedServices' [`export_fingerprint`]s in the order of their names, in hex:
/// `digest` of the [`Manifest`](super::Manifest).
#[must_use]
pub fn outbox_digest<'f>(by_name: impl IntoIterator<Item = &'f [u8; 32]>) -> String {
    let mut digest = Sha256::new();
    for fingerprint in by_name {
        digest.update(fingerprint);
    }
    hex(&digest.finalize())
}

/// The first `length` digits of the hash of a text in hex, at most 64.
#[must_use]
pub fn short_hash(text: &str, length: usize) -> String {
    let mut hash = hex(&Sha256::digest(text));
    hash.truncate(length);
    hash
}

/// The text, or its beginning and a hash of it where it is longer than `limit` bytes.
fn bounded(text: String, limit: usize) -> String {
    if text.len() <= limit {
        return text;
    }
    let hash = short_hash(&text, 16);
    let kept = text.floor_char_boundary(limit - hash.len() - 1);
    let kept = text[..kept].trim_end_matches(['.', '-']);
    format!("{kept}-{hash}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use redirector_kube::api::Family;

    use super::*;

    #[test]
    fn a_long_name_is_a_valid_label_and_stays_different() {
        let long = export_name(&"n".repeat(63), &"s".repeat(63));
        assert_eq!(long.len(), 127);
        let label = export_label(&long);
        assert_eq!(label.len(), 63);
        assert_ne!(label, export_label(&format!("{long}x")));
        assert_eq!(export_label("shop.web"), "shop.web");
    }

    #[test]
    fn a_digest_is_of_the_content_and_not_of_names_or_order() {
        let slice = |name: &str, family| OutboxSlice {
            name: name.into(),
            service: "shop.web".into(),
            family,
            ports: [].into(),
            endpoints: [].into(),
        };
        let one = [slice("a", Family::V4), slice("b", Family::V6)];
        let other = [slice("c", Family::V6), slice("d", Family::V4)];
        assert_eq!(slices_digest(&one), slices_digest(&other));
        assert_ne!(slices_digest(&one), slices_digest(&one[..1]));
    }
}
