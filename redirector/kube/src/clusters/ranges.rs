//! Whose ranges an address is in: a binary search, for there may be 6,400 ranges and 150,000 addresses.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;

/// The ranges of clusters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    /// By their first address.
    sorted: Vec<Range>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    first: IpAddr,
    last: IpAddr,
    cluster: Arc<str>,
    /// The last address of all ranges up to this one: no earlier range reaches further.
    furthest: IpAddr,
}

impl Ranges {
    /// The ranges of these clusters, which may overlap.
    pub fn new<'a>(clusters: impl Iterator<Item = (&'a Arc<str>, &'a [IpNet])>) -> Self {
        let mut sorted: Vec<Range> = clusters
            .flat_map(|(cluster, cidrs)| {
                cidrs.iter().map(|cidr| {
                    let (first, last) = (cidr.network(), cidr.broadcast());
                    Range { first, last, cluster: Arc::clone(cluster), furthest: last }
                })
            })
            .collect();
        sorted.sort_unstable();
        let mut furthest = None;
        for range in &mut sorted {
            range.furthest = range.last.max(furthest.unwrap_or(range.last));
            furthest = Some(range.furthest);
        }
        Self { sorted }
    }

    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// The clusters in whose ranges an address is; one may come twice.
    pub fn holders(&self, address: IpAddr) -> impl Iterator<Item = &Arc<str>> {
        // IPv4 comes before IPv6, so no range has addresses of both.
        let end = self.sorted.partition_point(|range| range.first <= address);
        let near = self.sorted[..end].iter().rev().take_while(move |it| it.furthest >= address);
        near.filter(move |range| range.last >= address).map(|range| &range.cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_every_range_that_contains_it() {
        let nets = |texts: &[&str]| -> Vec<IpNet> {
            texts.iter().map(|text| text.parse().expect("a range")).collect()
        };
        let clusters: Vec<(Arc<str>, Vec<IpNet>)> = vec![
            ("west".into(), nets(&["10.2.0.0/16", "fd00:2::/48", "10.4.0.0/24"])),
            ("north".into(), nets(&["10.2.3.0/24", "10.3.0.0/16"])),
            ("all".into(), nets(&["10.0.0.0/8"])),
        ];
        let ranges = Ranges::new(clusters.iter().map(|(name, cidrs)| (name, &**cidrs)));
        for address in [
            "10.2.3.4",
            "10.2.4.0",
            "10.2.255.255",
            "10.3.0.0",
            "10.4.1.0",
            "9.255.255.255",
            "11.0.0.0",
            "fd00:2::1",
            "fd00:3::",
            "::",
            "255.255.255.255",
            "10.4.0.255",
        ] {
            let address: IpAddr = address.parse().expect("an address");
            let mut found: Vec<&str> = ranges.holders(address).map(|name| &**name).collect();
            found.sort_unstable();
            let contains = |(_, cidrs): &&(Arc<str>, Vec<IpNet>)| {
                cidrs.iter().any(|cidr| cidr.contains(&address))
            };
            let mut wanted: Vec<&str> =
                clusters.iter().filter(contains).map(|(name, _)| &**name).collect();
            wanted.sort_unstable();
            assert_eq!(found, wanted, "{address}");
        }
    }
}
