//! One cluster of a fleet: its API server, its pods, its replicas of `redirector clusters`.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{
    backbone::{self, Backbone, Port},
    controller::Controller,
};
use crate::{
    api::{self, Api, Token, base64, builders},
    replica::Replica,
};

/// Port of every replica.
pub const PORT: u16 = 8080;
/// Where the Services are.
pub const NAMESPACE: &str = "shop";
/// As the manifests call the Deployment's account.
pub const CONTROLLER: &str = "system:serviceaccount:redirector-clusters:redirector-clusters";
/// As they call the agent's.
pub const AGENT: &str = "system:serviceaccount:redirector-system:redirector";

/// A cluster. Fields are dropped in order.
#[derive(Debug)]
pub struct Member {
    /// Its id.
    pub name: String,
    /// The number in its addresses, from 1.
    pub number: u8,
    /// Replicas of its Deployment.
    pub controllers: Vec<Controller>,
    /// Replicas of its Services, by their numbers from 1.
    pub replicas: Vec<Replica>,
    /// Its API server.
    pub api: Api,
    /// Where its API server and its Deployment are.
    pub control: Port,
    /// Where its pods are.
    pub data: Port,
    files: tempfile::TempDir,
}

impl Member {
    /// One with so many replicas that run, what every cluster has, and no Service.
    pub(super) fn new(
        backbone: &Backbone,
        (name, number): (&str, u8),
        replicas: u8,
        options: api::Options,
    ) -> Result<Self> {
        let own = backbone::addresses(number, 0, 1);
        let control = backbone.plug(&format!("api{number}"), &own)?;
        let data = backbone.plug(&format!("pods{number}"), &backbone::addresses(number, 2, 254))?;
        let api = Api::start(api::Options {
            listen: SocketAddr::new(own[0], 6443),
            netns: Some(control.netns().clone()),
            tokens: vec![
                Token::administrator("admin-token", "admin"),
                Token::bound("agent-token", AGENT),
                Token::bound("controller-token", CONTROLLER),
            ],
            ..options
        })?;
        for namespace in [NAMESPACE, "redirector-system"] {
            api.put(
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
            )?;
        }
        api.put(json!({
            "apiVersion": "about.k8s.io/v1beta1", "kind": "ClusterProperty",
            "metadata": {"name": "cluster.clusterset.k8s.io"}, "spec": {"value": name},
        }))?;
        let files = tempfile::tempdir().context("no directory for kubeconfigs")?;
        let mut member = Self {
            name: name.to_owned(),
            number,
            controllers: Vec::new(),
            replicas: Vec::new(),
            api,
            control,
            data,
            files,
        };
        for number in ["1", "2"] {
            let node = builders::Node::new(&format!("worker-{number}"));
            member.api.put(node.zone(if number == "1" { "a" } else { "b" }).region("eu"))?;
        }
        (1..=replicas).try_for_each(|_| member.add_replica())?;
        Ok(member)
    }

    /// One more replica, with the next number.
    pub fn add_replica(&mut self) -> Result<()> {
        let number = u8::try_from(self.replicas.len() + 1).context("too many replicas")?;
        let addresses = self.addresses(number);
        addresses.iter().try_for_each(|address| self.data.add_address(*address))?;
        let sockets = addresses.map(|address| SocketAddr::new(address, PORT));
        let name = format!("{}-{number}", self.name);
        self.replicas.push(Replica::start(self.data.netns(), &name, &sockets)?);
        Ok(())
    }

    /// Where replica `number` answers: IPv4, IPv6.
    #[must_use]
    pub fn addresses(&self, number: u8) -> [IpAddr; 2] {
        backbone::addresses(self.number, 2, number)
    }

    /// A dual-stack Service in [`NAMESPACE`], labelled, at `10.96.0.LAST:80` and `[fd00:96::LAST]:80`.
    pub fn put_service(&self, service: &str, last: u8) {
        let [v4, v6] = frontends(last);
        let object = builders::Service::redirected(NAMESPACE, service, "")
            .cluster_ips(&[&v4.ip().to_string(), &v6.ip().to_string()])
            .spec("ipFamilies", json!(["IPv4", "IPv6"]))
            .spec("ipFamilyPolicy", json!("RequireDualStack"));
        self.api.put(object).expect("a Service");
    }

    /// Its slices, of both families, as the endpoint-slice controller writes them: which replicas there
    /// are, and whether each is ready.
    pub fn put_slices(&self, service: &str, replicas: &[(u8, bool)]) {
        for (family, name) in ["IPv4", "IPv6"].into_iter().enumerate() {
            let slice = format!("{service}-{}", name.to_lowercase());
            let slice = builders::EndpointSlice::new(NAMESPACE, &slice, service)
                .address_type(name)
                .port("", "TCP", PORT);
            let slice = replicas.iter().fold(slice, |slice, (number, is_ready)| {
                slice.endpoint(self.endpoint(family, *number).ready(*is_ready))
            });
            self.api.put(slice).expect("a slice");
        }
    }

    /// An endpoint at replica `number`. Odd ones are on `worker-1` in zone a, even ones on `worker-2` in
    /// zone b: in every cluster.
    #[must_use]
    pub fn endpoint(&self, family: usize, number: u8) -> builders::Endpoint {
        let (node, zone) = if number % 2 == 1 { ("worker-1", "a") } else { ("worker-2", "b") };
        builders::Endpoint::new(&self.addresses(number)[family].to_string()).node(node).zone(zone)
    }

    /// Exports a Service.
    pub fn export(&self, service: &str) {
        self.api.put(export(service)).expect("a ServiceExport");
    }

    /// Takes its export back.
    pub fn unexport(&self, service: &str) {
        self.api.delete("serviceexports", NAMESPACE, service).expect("it was exported");
    }

    /// A RemoteCluster here of that member, without `server`: others discover it.
    pub fn knows(&self, other: &Self) -> Value {
        json!({
            "apiVersion": "redirector.dev/v1alpha1", "kind": "RemoteCluster",
            "metadata": {"name": other.name},
            "spec": {"cidrs": backbone::cidrs(other.number), "encryption": {"mode": "Off"}},
        })
    }

    /// The importer's phase of another cluster, and what it writes of it.
    #[must_use]
    pub fn phase(&self, other: &str) -> Option<String> {
        let found = self.api.get("remoteclusters", "", other)?;
        found["status"]["phase"].as_str().map(str::to_owned)
    }

    /// A condition of a RemoteCluster here: its status and its reason.
    #[must_use]
    pub fn condition(&self, other: &str, kind: &str) -> Option<(String, String)> {
        let found = self.api.get("remoteclusters", "", other)?;
        let mut all = found["status"]["conditions"].as_array()?.iter();
        let found = all.find(|condition| condition["type"] == kind)?;
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        Some((text("status"), text("reason")))
    }

    /// Lets `other` read the outbox here with an account of its own, and tells it so, as `redirector
    /// cluster join` does.
    pub fn admit(&self, other: &Self) -> Result<()> {
        let account = format!("importer-{}", other.name);
        self.api.put_yaml(&ACCOUNT.replace("ACCOUNT", &account))?;
        let token = self.api.issue("redirector-exports", &account)?;
        other.api.put(json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"namespace": "redirector-clusters", "name": self.name,
                "labels": {"clusters.redirector.dev/cluster": self.name}},
            "stringData": {"token": token},
        }))?;
        let mut remote = other.knows(self);
        let system = self.api.get("namespaces", "", "kube-system").context("no kube-system")?;
        remote["spec"]["uid"] = system["metadata"]["uid"].clone();
        remote["spec"]["server"] = json!(self.api.url());
        remote["spec"]["caBundle"] = json!(base64::standard(self.api.ca().as_bytes()));
        remote["spec"]["credentials"] = json!({"secretName": self.name});
        other.api.put(remote)?;
        Ok(())
    }

    /// Starts a replica of its Deployment with these arguments beside its own ones.
    pub fn control(&mut self, arguments: &[String]) -> Result<()> {
        let number = self.controllers.len();
        if number == 0 {
            self.release("redirector-clusters", "redirector-clusters")?;
        }
        let pod = format!("redirector-clusters-{number}");
        let kubeconfig = self.kubeconfig("controller-token")?;
        let netns = self.control.netns();
        let started = Controller::start(netns, (&self.name, &pod), &kubeconfig, arguments)?;
        self.controllers.push(started);
        Ok(())
    }

    /// Puts the Lease of an election as a leader leaves it that ends in good order: the next one need not
    /// wait whether it is held.
    pub(super) fn release(&self, namespace: &str, name: &str) -> Result<()> {
        self.api.put(json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"holderIdentity": "", "leaseTransitions": 1,
                "renewTime": "2026-12-01T00:00:00.000000Z"},
        }))?;
        Ok(())
    }

    /// A file for `--kubeconfig` with that token.
    pub fn kubeconfig(&self, token: &str) -> Result<PathBuf> {
        // A token is longer than a file's name may be; its end differs from all others'.
        let end = token.get(token.len().saturating_sub(32)..).unwrap_or(token);
        let path = self.files.path().join(end);
        let cluster = json!({
            "server": self.api.url(),
            "certificate-authority-data": base64::standard(self.api.ca().as_bytes()),
        });
        let name = &self.name;
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": name,
            "clusters": [{"name": name, "cluster": cluster}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "users": [{"name": name, "user": {"token": token}}],
        });
        std::fs::write(&path, text.to_string()).context("cannot write a kubeconfig")?;
        Ok(path)
    }
}

/// Where a Service is dialled whose addresses end so.
#[must_use]
pub fn frontends(last: u8) -> [SocketAddr; 2] {
    let v6 = [0xfd00, 0x96, 0, 0, 0, 0, 0, u16::from(last)];
    [SocketAddr::from(([10, 96, 0, last], 80)), SocketAddr::from((v6, 80))]
}

/// A ServiceExport.
#[must_use]
pub fn export(service: &str) -> Value {
    json!({
        "apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport",
        "metadata": {"namespace": NAMESPACE, "name": service},
    })
}

/// What `redirector cluster join` makes in the cluster that is read: three reads in one namespace, and
/// a new token for itself.
const ACCOUNT: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {namespace: redirector-exports, name: ACCOUNT}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {namespace: redirector-exports, name: ACCOUNT}
rules:
- apiGroups: [redirector.dev]
  resources: [exportedservices]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, list, watch]
- apiGroups: ['']
  resources: [serviceaccounts/token]
  resourceNames: [ACCOUNT]
  verbs: [create]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {namespace: redirector-exports, name: ACCOUNT}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: ACCOUNT}
subjects: [{kind: ServiceAccount, name: ACCOUNT, namespace: redirector-exports}]
";
