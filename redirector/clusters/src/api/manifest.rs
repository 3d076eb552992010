//! The manifest: what the outbox should hold, on the Lease that is its heartbeat.

use std::collections::BTreeMap;

use redirector_kube::api::ObjectRef;
use serde::{Deserialize, Serialize};

/// What an exporter says of its outbox as a whole: annotations of the Lease, changed with the content
/// only. Each renewal of the Lease is a heartbeat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Id of the exporting cluster.
    pub cluster: String,
    /// `metadata.uid` of its namespace kube-system.
    pub uid: String,
    /// A number drawn when the exporter began: another one may know less than the one before.
    pub epoch: u64,
    /// How many ExportedServices there are.
    pub services: usize,
    /// How many endpoints their slices have.
    pub endpoints: usize,
    /// SHA-256 over the names, specs and digests of all ExportedServices by name, in hex.
    pub digest: String,
    /// Which region each zone is in.
    pub regions: BTreeMap<String, String>,
    /// Ranges that the exporter knows its pods to be in.
    pub cidrs: Vec<String>,
    /// Version of the exporter.
    pub version: String,
    /// ServiceExports that users have deleted lately. An exporter of an earlier version states none.
    pub unexported: Vec<Unexport>,
}

/// A ServiceExport that a user has deleted, and that the API server does not know by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unexport {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`: that of the Service.
    pub name: String,
    /// Its `metadata.creationTimestamp`, as `exportedAt` of its ExportedService had it: one that was made
    /// later is another one.
    pub exported_at: String,
}

impl Unexport {
    /// Which Service it was of.
    #[must_use]
    pub fn object(&self) -> ObjectRef {
        ObjectRef { namespace: self.namespace.as_str().into(), name: self.name.as_str().into() }
    }
}

/// What all annotations of a manifest begin with.
const PREFIX: &str = "clusters.redirector.dev/";
/// Which Services are not exported any more, and that this is meant.
const UNEXPORTED: &str = "unexported";

impl Manifest {
    /// Its annotations.
    #[must_use]
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let Self {
            cluster,
            uid,
            epoch,
            services,
            endpoints,
            digest,
            regions,
            cidrs,
            version,
            unexported,
        } = self;
        let regions = serde_json::json!(regions).to_string();
        let unexported = serde_json::json!(unexported).to_string();
        [
            ("cluster", cluster.clone()),
            ("cluster-uid", uid.clone()),
            ("epoch", epoch.to_string()),
            ("services", services.to_string()),
            ("endpoints", endpoints.to_string()),
            ("digest", digest.clone()),
            ("regions", regions),
            ("cidrs", cidrs.join(",")),
            ("version", version.clone()),
            (UNEXPORTED, unexported),
        ]
        .map(|(name, value)| (format!("{PREFIX}{name}"), value))
        .into()
    }

    /// The manifest with these annotations; others are ignored.
    ///
    /// # Errors
    ///
    /// Which annotation is missing or is not what it should be.
    pub fn read(annotations: &BTreeMap<String, String>) -> Result<Self, String> {
        let text = |name: &str| {
            let found = annotations.get(&format!("{PREFIX}{name}"));
            found.cloned().ok_or_else(|| format!("annotation {PREFIX}{name} is missing"))
        };
        let number = |name: &str| {
            let text = text(name)?;
            text.parse::<u64>()
                .map_err(|_| format!("annotation {PREFIX}{name}: {text:?} is no number"))
        };
        let regions = serde_json::from_str(&text("regions")?)
            .map_err(|error| format!("annotation {PREFIX}regions: {error}"))?;
        let cidrs = text("cidrs")?;
        // What is not stated, or not so that it can be read, is believed later.
        let unexported = text(UNEXPORTED).ok().and_then(|text| serde_json::from_str(&text).ok());
        Ok(Self {
            cluster: text("cluster")?,
            uid: text("cluster-uid")?,
            epoch: number("epoch")?,
            services: number("services")? as usize,
            endpoints: number("endpoints")? as usize,
            digest: text("digest")?,
            regions,
            cidrs: cidrs.split(',').filter(|cidr| !cidr.is_empty()).map(str::to_owned).collect(),
            version: text("version")?,
            unexported: unexported.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_a_missing_part_is_named() {
        let manifest = Manifest {
            cluster: "west".into(),
            uid: "u".into(),
            epoch: 7,
            services: 2,
            endpoints: 30,
            digest: "ab".into(),
            regions: [("a".to_owned(), "eu".to_owned())].into(),
            cidrs: vec!["10.2.0.0/16".into(), "fd00:2::/48".into()],
            version: "0.1.0".into(),
            unexported: vec![Unexport {
                namespace: "shop".into(),
                name: "web".into(),
                exported_at: "2026-11-01T00:00:00Z".into(),
            }],
        };
        let mut annotations = manifest.annotations();
        assert_eq!(Manifest::read(&annotations), Ok(manifest.clone()));
        annotations.remove("clusters.redirector.dev/unexported");
        let earlier = Manifest { unexported: Vec::new(), ..manifest };
        assert_eq!(Manifest::read(&annotations), Ok(earlier), "of an earlier version");
        annotations.remove("clusters.redirector.dev/digest");
        let why = Manifest::read(&annotations).expect_err("a part is missing");
        assert_eq!(why, "annotation clusters.redirector.dev/digest is missing");
    }
}
