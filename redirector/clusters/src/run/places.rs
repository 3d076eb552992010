//! Where the objects are watched that are written.

use crate::write::{Kind, Ours, Place};

/// ExportedServices of the outbox.
#[derive(Clone, Debug)]
pub(super) struct OutboxServices;

impl Place for OutboxServices {
    const PATH: &'static str =
        "/apis/redirector.dev/v1alpha1/namespaces/redirector-exports/exportedservices";
    const KIND: Kind = Kind::ExportedService;
    const OURS: Ours = Ours::All;
}

/// Slices of the outbox.
#[derive(Clone, Debug)]
pub(super) struct OutboxSlices;

impl Place for OutboxSlices {
    const PATH: &'static str =
        "/apis/discovery.k8s.io/v1/namespaces/redirector-exports/endpointslices";
    const KIND: Kind = Kind::EndpointSlice;
    const OURS: Ours = Ours::All;
}

/// ServiceImports of all namespaces, of every writer: users give their names.
#[derive(Clone, Debug)]
pub(super) struct Imports;

impl Place for Imports {
    const PATH: &'static str = "/apis/multicluster.x-k8s.io/v1beta1/serviceimports";
    const KIND: Kind = Kind::ServiceImport;
    const OURS: Ours = Ours::Imported;
}

/// Derived Services.
#[derive(Clone, Debug)]
pub(super) struct DerivedServices;

impl Place for DerivedServices {
    const PATH: &'static str = "/api/v1/services";
    const KIND: Kind = Kind::Service;
    const OURS: Ours = Ours::Imported;
}

/// Imported slices.
#[derive(Clone, Debug)]
pub(super) struct ImportedSlices;

impl Place for ImportedSlices {
    const PATH: &'static str = "/apis/discovery.k8s.io/v1/endpointslices";
    const KIND: Kind = Kind::EndpointSlice;
    const OURS: Ours = Ours::Imported;
}
