//! Whether the exporter there lives, is who it should be, and has an outbox that is whole.

use redirector_kube::api::Object as _;
use serde_json::Value;

use super::{Check, Finding, There, count};
use crate::api::{
    ExportedServiceSpec, Manifest, OutboxSlice, export_fingerprint, export_label, outbox_digest,
    slices_digest,
};

/// The heartbeat, as it was watched for a while. No clock of the other cluster is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// What its annotations say, or what is wrong with them; `None`: there is no Lease.
    pub manifest: Option<Result<Manifest, String>>,
    /// Whether it changed while it was watched.
    pub moved: bool,
}

/// The outbox, read between two equal manifests if there were any.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    /// ExportedServices, as they are.
    pub services: Vec<Value>,
    /// EndpointSlices, as they are.
    pub slices: Vec<Value>,
}

impl Outbox {
    /// Name and spec of each Service that can be read, by name.
    pub(super) fn specs(&self) -> Vec<(String, ExportedServiceSpec)> {
        let read = |object: &Value| {
            let spec = serde_json::from_value(object["spec"].clone()).ok()?;
            Some((object["metadata"]["name"].as_str()?.to_owned(), spec))
        };
        let mut specs: Vec<_> = self.services.iter().filter_map(read).collect();
        specs.sort_by(|(one, _), (other, _)| one.cmp(other));
        specs
    }

    /// The slices that can be read.
    pub(super) fn slices(&self) -> Vec<OutboxSlice> {
        let read = |object: &Value| OutboxSlice::decode(object.to_string().as_bytes()).ok();
        self.slices.iter().filter_map(read).collect()
    }

    /// SHA-256 over the Services, and names of those whose slices are not what they say.
    fn digest(&self) -> (String, Vec<String>) {
        let (specs, slices) = (self.specs(), self.slices());
        let incomplete = specs.iter().filter(|(name, spec)| {
            let label = export_label(name);
            let of_it = slices.iter().filter(|slice| *slice.service == *label);
            slices_digest(of_it) != spec.digest
        });
        let incomplete = incomplete.map(|(name, _)| name.clone()).collect();
        let prints: Vec<_> =
            specs.iter().map(|(name, spec)| export_fingerprint(name, spec)).collect();
        (outbox_digest(&prints), incomplete)
    }
}

pub(super) fn manifest(of: &There) -> Option<Finding> {
    let valid = of.cluster.spec.as_ref().ok()?;
    valid.spec().server.as_ref()?;
    let name = of.name();
    let Some(Beat { manifest, moved }) = &of.beat else {
        return Some(Check::Manifest.unknown("not read", None).of(of));
    };
    let runs = format!("is the Deployment redirector-clusters running in {name}?");
    let manifest = match manifest {
        None => {
            return Some(Check::Manifest.failed("no exporter has written one", runs).of(of));
        }
        Some(Err(why)) => return Some(Check::Manifest.failed(why, runs).of(of)),
        Some(Ok(manifest)) => manifest,
    };
    if valid.spec().uid.as_ref().is_some_and(|uid| *uid != manifest.uid) {
        let finding = Check::Manifest.failed(
            format!("it is of another cluster than was joined (uid {})", manifest.uid),
            format!("`redirector cluster leave {name}`, then join it again if that is meant"),
        );
        return Some(finding.of(of));
    }
    if manifest.cluster != name {
        let finding = Check::Manifest.failed(
            format!("it calls itself {:?}", manifest.cluster),
            format!("`redirector cluster leave {name}`, then join {}", manifest.cluster),
        );
        return Some(finding.of(of));
    }
    if !moved {
        let finding =
            Check::Manifest.failed("its heartbeat does not move: the exporter is dead", runs);
        return Some(finding.of(of));
    }
    let Some(outbox) = &of.outbox else {
        return Some(Check::Manifest.unknown("it lives; its outbox was not read", None).of(of));
    };
    let (digest, incomplete) = outbox.digest();
    let again = "if it stays so, restart the exporter there: an outbox has one writer";
    let finding = if let Some(first) = incomplete.first() {
        Check::Manifest.failed(
            format!(
                "slices of {} of its Services are not complete, such as {first}",
                incomplete.len()
            ),
            again,
        )
    } else if digest == manifest.digest {
        let Manifest { services, endpoints, version, .. } = manifest;
        Check::Manifest.ok(format!(
            "complete: {}, {}; version {version}",
            count(*services, "Service"),
            count(*endpoints, "endpoint")
        ))
    } else {
        Check::Manifest.failed("its outbox is not what its manifest says", again)
    };
    Some(finding.of(of))
}
