//! The texts, and what becomes of each. Also for the tests that put them into a cluster.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::Deserialize;

/// What becomes of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Expected {
    /// An address, both of a Service and in a slice.
    Used,
    /// A v4-mapped address: as an address of a Service the IPv4 address that it means, as
    /// kube-proxy reads it (`util.MapIPsByIPFamily`); in a slice of IPv6 addresses none.
    Mapped,
    /// The text is not that of one address.
    Form,
    Loopback,
    Unspecified,
    LinkLocal,
    Multicast,
    Reserved,
    Metadata,
}

/// All texts, those of `texts.yaml`.
pub static TEXTS: LazyLock<Vec<(String, Expected)>> = LazyLock::new(|| {
    let texts: BTreeMap<Expected, Vec<String>> =
        serde_saphyr::from_str(include_str!("texts.yaml")).expect("lists of texts");
    let each =
        |(expected, texts): (_, Vec<String>)| texts.into_iter().map(move |it| (it, expected));
    texts.into_iter().flat_map(each).collect()
});
