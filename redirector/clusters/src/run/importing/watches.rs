//! What is watched of this cluster for the importer.

use std::sync::Arc;

use redirector_kube::{
    api::{
        Batch, ObjectRef, RemoteCluster, Service,
        labels::{IMPORTER, MANAGED_BY},
    },
    watch::{Selector, Stats},
};
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    super::{
        news::{Both, Watches, labelled, named},
        places::{DerivedServices, ImportedSlices, Imports},
        remote,
    },
    Heard, Options,
};
use crate::{
    api::{ExportedService, HEARTBEAT, Heartbeat, OutboxSlice},
    import::{Namespace, News, OutboxNews, OwnImport, OwnNode},
    write::Kept,
};

/// Begins the watches of this cluster. Returns the counters of that for ServiceImports.
pub(super) fn begin(
    options: &Options,
    heard: &mpsc::Sender<Heard>,
    tasks: &mut JoinSet<()>,
) -> Arc<Stats> {
    let Options { client, limits, timing, identity, .. } = options;
    let watches = Watches { client, limits, heard };
    let all = Selector::default;
    let ours = || labelled(MANAGED_BY, IMPORTER);
    let object = |cluster: &RemoteCluster| ObjectRef {
        namespace: "".into(),
        name: Arc::clone(&cluster.name),
    };
    watches.begin_defined(timing, object, tasks, Heard::Clusters);
    watches.begin::<Namespace>(all(), tasks, |batch| Heard::News(News::Namespaces(batch)));
    watches.begin::<OwnNode>(all(), tasks, Heard::Nodes);
    watches.begin::<Service>(all(), tasks, |batch| Heard::News(News::Services(batch)));
    watches.begin::<Kept<DerivedServices>>(ours(), tasks, Heard::Derived);
    watches.begin::<Kept<ImportedSlices>>(ours(), tasks, Heard::Slices);
    let own =
        |news: fn(Batch<ExportedService>) -> OutboxNews| (Arc::clone(&identity.cluster), news);
    let (cluster, news) = own(OutboxNews::Services);
    watches.begin::<ExportedService>(all(), tasks, move |batch| {
        Heard::News(News::Outbox { cluster: cluster.clone(), news: news(batch) })
    });
    let cluster = Arc::clone(&identity.cluster);
    watches.begin::<OutboxSlice>(all(), tasks, move |batch| {
        Heard::News(News::Outbox { cluster: cluster.clone(), news: OutboxNews::Slices(batch) })
    });
    let cluster = Arc::clone(&identity.cluster);
    watches.begin::<Heartbeat>(named(HEARTBEAT), tasks, move |batch| {
        let news = OutboxNews::Heartbeat(remote::last(batch));
        Heard::News(News::Outbox { cluster: cluster.clone(), news })
    });
    watches.begin::<Both<OwnImport, Kept<Imports>>>(all(), tasks, Heard::Imports)
}
