//! What joining writes, or why it cannot be: pure, over what both clusters were read to be.

use ipnet::IpNet;
use redirector_kube::api::{Object as _, RemoteCluster, is_cluster_id};
use redirector_policy::{
    CredentialsSpec, EncryptionMode, EncryptionSpec, OnSilenceWord, Reach, RemoteClusterSpec,
};
use serde_json::Value;

use super::{
    Error, Side, error::Refusal, identity::Identity, objects, ranges::Ranges, side::Address,
};

/// What the operator wants of a cluster that is joined.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Its id.
    pub name: String,
    /// Where its services are reached.
    pub reach: Reach,
    /// Where its endpoints are.
    pub cidrs: Vec<String>,
    /// Which flag they are from, for messages.
    pub cidr_flag: &'static str,
    /// How the way is secured; it has no default.
    pub encryption: Option<EncryptionMode>,
    /// Devices that encrypt.
    pub interfaces: Vec<String>,
    /// Whether IPsec policies of nodes count.
    pub ipsec: bool,
}

/// The cluster that imports.
#[derive(Clone, Debug, Default)]
pub struct Importing {
    /// What messages call it.
    pub side: String,
    /// Its id.
    pub id: String,
    /// `metadata.uid` of its namespace kube-system.
    pub uid: String,
    /// What it uses itself.
    pub ranges: Ranges,
    /// The RemoteClusters that it has.
    pub clusters: Vec<RemoteCluster>,
}

/// The cluster that exports.
#[derive(Clone, Debug)]
pub struct Exporting {
    /// What messages call it.
    pub side: String,
    /// `metadata.uid` of its namespace kube-system.
    pub uid: String,
    /// What it calls itself, if that is known.
    pub id: Option<String>,
    /// Its API server, as the importer will dial it.
    pub address: Address,
    /// `podCIDRs` of its Nodes, aggregated; empty is not known.
    pub pods: Vec<IpNet>,
    /// Whether an exporter has written a manifest.
    pub has_manifest: bool,
}

/// One direction of a join.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The id of the cluster that imports.
    pub importer: String,
    /// The id of the cluster that exports.
    pub exporter: String,
    /// The RemoteCluster that is written where it is imported.
    pub remote_cluster: Value,
    /// The Secret that it names.
    pub secret: String,
    /// The API server, as the RemoteCluster names it.
    pub address: Address,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

impl Importing {
    /// Reads an operator's side. `given` is what the operator calls it.
    ///
    /// # Errors
    ///
    /// Its id is not known, RemoteClusters are not served, or [`Error::Request`].
    pub async fn read(side: &Side, given: Option<&str>) -> Result<Self, Error> {
        let identity = Identity::read(side).await?;
        let id = identity.id(side.name(), given)?;
        let clusters = side.list(RemoteCluster::PATH).await?;
        let clusters = side.must_serve(clusters, "RemoteCluster", CRDS)?;
        // What has no name cannot be in the way of any.
        let clusters = clusters
            .iter()
            .filter_map(|object| RemoteCluster::decode(object.to_string().as_bytes()).ok());
        Ok(Self {
            side: side.name().to_owned(),
            id,
            uid: identity.uid,
            ranges: Ranges::read(side).await?,
            clusters: clusters.collect(),
        })
    }
}

impl Exporting {
    /// Reads an operator's side.
    ///
    /// # Errors
    ///
    /// Its sources name it differently, or [`Error::Request`].
    pub async fn read(side: &Side, address: Address) -> Result<Self, Error> {
        let identity = Identity::read(side).await?;
        let id = match identity.id(side.name(), None) {
            Ok(id) => Some(id),
            Err(Refusal::NoOwnId) => None,
            Err(refusal) => return Err(refusal.into()),
        };
        Ok(Self {
            side: side.name().to_owned(),
            uid: identity.uid,
            id,
            address,
            pods: Ranges::read(side).await?.pods(),
            has_manifest: identity.manifest.is_some(),
        })
    }
}

/// What to do about missing definitions.
pub(super) const CRDS: &str = "apply the definitions of deploy/crd there first";

/// What is written, or the first thing that forbids it.
///
/// # Errors
///
/// In order: the name; the encryption; the identities of both; the spec; overlapping ranges.
pub fn plan(here: &Importing, there: &Exporting, wish: &Wish) -> Result<Plan, Refusal> {
    let name = wish.name.clone();
    if !is_cluster_id(&name) {
        return Err(Refusal::Name(name));
    }
    let Some(encryption) = wish.encryption else { return Err(Refusal::NoEncryption) };
    identities(here, there, &name)?;
    if wish.cidrs.is_empty() {
        let seen = there.pods.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let seen = Some(seen).filter(|seen| !seen.is_empty());
        return Err(Refusal::NoCidrs { flag: wish.cidr_flag, cluster: name, seen });
    }
    let spec = RemoteClusterSpec {
        server: Some(there.address.server.clone()),
        ca_bundle: there.address.ca_bundle.clone(),
        credentials: Some(CredentialsSpec { secret_name: name.clone() }),
        uid: Some(there.uid.clone()),
        reach: wish.reach,
        cidrs: wish.cidrs.clone(),
        namespaces: None,
        encryption: EncryptionSpec {
            mode: encryption,
            interfaces: wish.interfaces.clone(),
            ipsec: wish.ipsec,
        },
        on_silence: OnSilenceWord::default(),
        keep_for: None,
    };
    let invalid = |problems| Refusal::Invalid { name: name.clone(), problems };
    let valid = spec.clone().validate().map_err(|problems| invalid(problems.to_string()))?;
    if wish.reach == Reach::Pod {
        let mut ranges = here.ranges.clone();
        for other in here.clusters.iter().filter(|other| *other.name != *name) {
            if let Ok(valid) = &other.spec {
                ranges.add(&other.name, valid);
            }
        }
        if let Some(overlap) = ranges.overlap(&name, valid.cidrs()) {
            return Err(Refusal::Overlap { name, overlap });
        }
    }
    let mut remote_cluster = objects::remote_cluster(&name, &spec);
    // What has its default is left to its owner: the same command later changes nothing of it.
    if let Some(spec) = remote_cluster["spec"].as_object_mut() {
        spec.remove("onSilence");
    }
    Ok(Plan {
        importer: here.id.clone(),
        exporter: name.clone(),
        remote_cluster,
        secret: name,
        address: there.address.clone(),
        warnings: warnings(there, wish, encryption, valid.cidrs()),
    })
}

/// That both are who they should be, and two.
fn identities(here: &Importing, there: &Exporting, name: &str) -> Result<(), Refusal> {
    let (name, uid) = (name.to_owned(), there.uid.clone());
    if here.id == name {
        return Err(Refusal::OwnName(name));
    }
    if here.uid == uid {
        return Err(Refusal::OwnUid { name, uid });
    }
    if let Some(own) = there.id.clone().filter(|own| *own != name) {
        return Err(Refusal::OtherName { side: there.side.clone(), given: name, own });
    }
    for known in &here.clusters {
        // One that is wrong pins nothing.
        let Some(pinned) = known.spec.as_ref().ok().and_then(|valid| valid.spec().uid.clone())
        else {
            continue;
        };
        match (*known.name == *name, pinned == uid) {
            (true, false) => return Err(Refusal::OtherUid { name, pinned, found: uid }),
            (false, true) => return Err(Refusal::KnownAs { known: known.name.to_string(), uid }),
            _ => {}
        }
    }
    Ok(())
}

fn warnings(
    there: &Exporting,
    wish: &Wish,
    encryption: EncryptionMode,
    cidrs: &[IpNet],
) -> Vec<String> {
    let name = &wish.name;
    let mut warnings = Vec::new();
    match encryption {
        EncryptionMode::Required => warnings.push(format!(
            "encryption is Required and no guard is part of this version: endpoints of {name} stay out \
             (condition Secure=Unknown, reason NoGuard)"
        )),
        EncryptionMode::Report => warnings.push(format!(
            "encryption is only reported: connections go to {name} whether the way is encrypted or not"
        )),
        EncryptionMode::Off => {
            warnings.push(format!("encryption is Off: what is sent to {name} may be read on the way"));
        }
    }
    let host = there.address.server.trim_start_matches("https://");
    if ["127.", "localhost", "[::1]"].iter().any(|local| host.starts_with(local)) {
        warnings.push(format!(
            "{} is on this host, where no importer's pod finds it; pass --server with an address that they \
             can dial",
            there.address.server
        ));
    }
    if !there.has_manifest {
        warnings.push(format!(
            "no exporter has written a manifest in {name} yet: it stays Joining until redirector-clusters \
             runs there"
        ));
    }
    if wish.reach == Reach::Pod {
        let outside =
            there.pods.iter().filter(|pods| !cidrs.iter().any(|cidr| cidr.contains(*pods)));
        let outside: Vec<_> = outside.map(ToString::to_string).collect();
        if !outside.is_empty() {
            warnings.push(format!(
                "nodes of {name} have pods in {}, outside of --{}: endpoints there do not count",
                outside.join(", "),
                wish.cidr_flag
            ));
        }
    }
    warnings
}

#[cfg(test)]
mod tests;
