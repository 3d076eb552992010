//! A fleet whose east knows the other clusters by slices that a test writes, as others would.

use redirector_tests::{
    api::{builders, resources},
    fleet::{Fleet, Member, NAMESPACE, PORT, Setup},
};
use serde_json::{Value, json};

/// Where `web` is.
pub const WEB: u8 = 10;
/// East first, then west, then north; the way back is short, because tests wait for it.
pub const IN_ORDER: &str = "
targetRefs: [{kind: Service, name: web}]
failback: {holdDown: 1s, ramp: 1s}
tiers:
- {name: here, locality: Cluster}
- {name: west, clusters: [west]}
- {name: north, clusters: [north]}
";

/// Who writes slices of another cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// Its synchronisation of global Services: slices of the Service itself.
    Cilium,
    /// Cilium's MCS, and everybody's who derives a Service.
    Derived,
    /// Lighthouse: no home but by the label of KEP-1645.
    Submariner,
    /// The importer's, out of kube-proxy's sight.
    Redirector,
}

impl Writer {
    pub const ALL: [Self; 4] = [Self::Cilium, Self::Derived, Self::Submariner, Self::Redirector];

    /// Slices of `web` with these replicas of another cluster, one per family.
    pub fn slices(self, of: &Member, replicas: &[u8]) -> [Value; 2] {
        [0, 1].map(|family| {
            let name = format!("web-{}-{}", of.name, ["v4", "v6"][family]);
            let slice = builders::EndpointSlice::new(NAMESPACE, &name, "web")
                .address_type(["IPv4", "IPv6"][family])
                .port("", "TCP", PORT);
            let slice = replicas.iter().fold(slice, |slice, number| {
                slice.endpoint(of.endpoint(family, *number).ready(true))
            });
            let mut slice = Value::from(slice);
            slice["metadata"]["labels"] = self.labels(&of.name);
            if self == Self::Redirector {
                slice["metadata"]["annotations"] = json!({"redirector.dev/reach": "Pod"});
            }
            slice
        })
    }

    fn labels(self, cluster: &str) -> Value {
        const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
        let mut labels = json!({"multicluster.kubernetes.io/source-cluster": cluster});
        let home = match self {
            Self::Cilium => {
                labels[MANAGED_BY] = json!("endpointslice-mesh-controller.cilium.io");
                labels["kubernetes.io/service-name"] = json!("web");
                return labels;
            }
            Self::Derived => {
                labels[MANAGED_BY] = json!("endpointslice-mesh-controller.cilium.io");
                labels["kubernetes.io/service-name"] = json!("derived-8a2fb3c1");
                labels
            }
            Self::Submariner => {
                labels[MANAGED_BY] = json!("lighthouse-agent.submariner.io");
                labels
            }
            Self::Redirector => {
                labels[MANAGED_BY] = json!("clusters.redirector.dev");
                labels["service.kubernetes.io/service-proxy-name"] = json!("redirector.dev");
                labels
            }
        };
        let mut labels = home;
        labels["multicluster.kubernetes.io/service-name"] = json!("web");
        labels
    }
}

/// East with `web`, both of its replicas ready, and what `writer` writes of the other clusters. Each of
/// them is stated by a RemoteCluster with `fields` in its spec, and in `phase` where one is given.
pub fn told(setup: &Setup, writer: Writer, fields: &Value, phase: Option<&str>) -> Fleet {
    let fleet = Fleet::new(setup, |members| {
        let [east, others @ ..] = members else { unreachable!("a fleet has an east") };
        east.put_service("web", WEB);
        east.put_slices("web", &[(1, true), (2, true)]);
        for other in others {
            let mut remote = east.knows(other);
            for (field, value) in fields.as_object().into_iter().flatten() {
                remote["spec"][field] = value.clone();
            }
            if let Some(phase) = phase {
                remote["status"] = json!({"phase": phase});
            }
            east.api.put(remote).expect("a RemoteCluster");
            for slice in writer.slices(other, &[1, 2]) {
                east.api.put(slice).expect("a slice");
            }
        }
    });
    fleet.expect("a fleet")
}

/// The same with the policy [`IN_ORDER`].
pub fn ordered(setup: &Setup, fields: &Value, phase: Option<&str>) -> Fleet {
    let fleet = told(setup, Writer::Redirector, fields, phase);
    let policy = builders::FailoverPolicy::new(NAMESPACE, "web", IN_ORDER);
    fleet.member("east").api.put(policy).expect("a policy");
    fleet
}

/// Kills all replicas of a cluster.
pub fn kill(fleet: &mut Fleet, cluster: &str) {
    fleet
        .member_mut(cluster)
        .replicas
        .iter_mut()
        .for_each(redirector_tests::replica::Replica::kill);
}

/// Says in east in which phase another cluster is.
pub fn say(fleet: &Fleet, cluster: &str, phase: &str) {
    let status = json!({"status": {"phase": phase}});
    let said = fleet.member("east").api.patch("remoteclusters", "", cluster, status);
    said.expect("its RemoteCluster");
    debug_assert!(!resources::named("remoteclusters").is_namespaced);
}
