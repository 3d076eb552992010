//! What a slice says of another cluster, of any writer: Redirector, Cilium, Submariner, AWS, GKE,
//! Karmada.
//!
//! It is only what a writer says. Whether that cluster is one, and whether the addresses may be its, is
//! for the RemoteCluster of that name to say.

use std::{collections::BTreeMap, sync::Arc};

use redirector_policy::Reach;

use super::{
    super::labels::{LINKERD_MIRROR, MCS_SERVICE_NAME, REACH, REGIONS, SOURCE_CLUSTER, WEIGHT},
    SERVICE_NAME,
};

/// What a slice says of the other cluster that its endpoints are in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// The cluster's id; `None` is another one, but not which.
    pub cluster: Option<Arc<str>>,
    /// Its endpoints are gateways that only a proxy of Linkerd can use.
    pub is_linkerd_gateway: bool,
    /// kube-proxy takes the endpoints too, and spreads connections over them at all times.
    pub is_proxied: bool,
    /// What the addresses are; `None` is not said.
    pub reach: Option<Reach>,
    /// 0 to 100, 100 if it is not said; 0 is only when no other backend is healthy.
    pub weight: u8,
    /// Which region each zone is in, there.
    pub regions: BTreeMap<Arc<str>, Arc<str>>,
}

type Texts = BTreeMap<String, String>;

/// What labels and annotations say of another cluster, and of which Service of that name its endpoints
/// are; `None` is a slice of this cluster. `is_of_pods`: the endpoint slice controller has made it, which
/// lists pods of this cluster and copies whatever labels the Service has.
pub(super) fn read(
    labels: &Texts,
    annotations: Option<&Texts>,
    is_of_pods: bool,
) -> Option<(Source, Option<Arc<str>>)> {
    let label = |name| labels.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let (cluster, exported) = (label(SOURCE_CLUSTER), label(MCS_SERVICE_NAME));
    if is_of_pods || (cluster.is_none() && exported.is_none()) {
        return None;
    }
    let said = |name| annotations.and_then(|said| said.get(name)).map(String::as_str);
    let reach = said(REACH).map(serde_json::Value::from);
    let regions: BTreeMap<String, String> =
        said(REGIONS).and_then(|regions| serde_json::from_str(regions).ok()).unwrap_or_default();
    let regions = regions.iter().filter(|(zone, region)| !zone.is_empty() && !region.is_empty());
    let source = Source {
        cluster: cluster.map(Into::into),
        is_linkerd_gateway: label(LINKERD_MIRROR) == Some("true"),
        is_proxied: label(SERVICE_NAME).is_some(),
        reach: reach.and_then(|reach| serde_json::from_value(reach).ok()),
        weight: said(WEIGHT)
            .and_then(|weight| weight.parse().ok())
            .map_or(100, |it: u8| it.min(100)),
        regions: regions
            .map(|(zone, region)| (zone.as_str().into(), region.as_str().into()))
            .collect(),
    };
    Some((source, exported.map(Into::into)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(
        labels: &[(&str, &str)],
        annotations: &[(&str, &str)],
    ) -> Option<(Source, Option<Arc<str>>)> {
        let texts = |list: &[(&str, &str)]| -> Texts {
            list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        read(&texts(labels), Some(&texts(annotations)), false)
    }

    #[test]
    fn annotations_that_cannot_be_read_are_as_if_they_were_not_there() {
        for (reach, weight, regions) in
            [("Moon", "lots", "{"), ("", "-1", "[]"), ("pod", "256", r#"{"a": 1}"#), ("", "", "")]
        {
            let (source, _) = of(
                &[(SOURCE_CLUSTER, "west")],
                &[(REACH, reach), (WEIGHT, weight), (REGIONS, regions)],
            )
            .expect("another cluster's");
            assert_eq!((source.reach, source.weight, source.regions), (None, 100, BTreeMap::new()));
        }
        let said = [(REACH, "NodePort"), (WEIGHT, "0"), (REGIONS, r#"{"a": "eu", "b": ""}"#)];
        let (source, _) = of(&[(SOURCE_CLUSTER, "west")], &said).expect("another cluster's");
        assert_eq!((source.reach, source.weight), (Some(Reach::NodePort), 0));
        assert_eq!(source.regions, [("a".into(), "eu".into())].into());
    }

    #[test]
    fn without_a_cluster_it_is_of_another_one_that_is_not_known() {
        assert_eq!(of(&[(SERVICE_NAME, "web")], &[]), None);
        assert_eq!(of(&[(SOURCE_CLUSTER, ""), (MCS_SERVICE_NAME, "")], &[]), None);
        let (source, exported) = of(&[(MCS_SERVICE_NAME, "web")], &[]).expect("another cluster's");
        assert_eq!((source.cluster, exported), (None, Some("web".into())));
    }

    #[test]
    fn what_the_controller_lists_are_pods_of_this_cluster() {
        let labels = [(SOURCE_CLUSTER.to_owned(), "west".to_owned())].into();
        assert_eq!(read(&labels, None, true), None);
    }
}
