//! `resourceVersion`s: opaque by the letter of the API, numbers in fact (KEP-5504).

use std::{cmp::Ordering, fmt};

/// A `resourceVersion`. Those that are no decimal numbers can be told apart, but have no order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version(Box<str>);

impl Version {
    /// The version that a text says; none for the empty one, and for `0`, which means any.
    pub(super) fn new(text: &str) -> Option<Self> {
        (!text.is_empty() && text != "0" && text.len() <= 128).then(|| Self(text.into()))
    }

    /// Whether this one is certainly older.
    pub(super) fn is_older_than(&self, other: &Self) -> bool {
        self.order(other) == Some(Ordering::Less)
    }

    /// Whether this one is certainly as old or older.
    pub(super) fn is_not_newer_than(&self, other: &Self) -> bool {
        matches!(self.order(other), Some(Ordering::Less | Ordering::Equal))
    }

    fn order(&self, other: &Self) -> Option<Ordering> {
        if self == other {
            return Some(Ordering::Equal);
        }
        let (ours, theirs) = (self.digits()?, other.digits()?);
        Some(ours.len().cmp(&theirs.len()).then_with(|| ours.cmp(theirs)))
    }

    fn digits(&self) -> Option<&str> {
        let is_number = self.0.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| self.0.trim_start_matches('0'))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_an_order_of_any_length_and_other_texts_have_none() {
        let version = |text| Version::new(text).expect(text);
        assert!(version("9").is_older_than(&version("10")));
        assert!(
            version("99999999999999999999999").is_older_than(&version("100000000000000000000000"))
        );
        assert!(version("10").is_not_newer_than(&version("10")));
        assert!(!version("a").is_older_than(&version("b")));
        assert!(version("a").is_not_newer_than(&version("a")));
        assert_eq!(Version::new(""), None);
        assert_eq!(Version::new("0"), None);
    }
}
