//! The probe of a policy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    bounds::{FAST_INTERVAL, GRPC_SERVICE, HOST, INTERVAL, PATH, PORT, STATUS, THRESHOLD, TIMEOUT},
    rules,
};

/// An active probe, from each node that uses the service: by TCP unless it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = rules::probe()))]
pub struct ProbeSpec {
    /// Whether a connection is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TcpProbe")]
    pub tcp: Option<TcpProbe>,
    /// A GET over HTTP/1.1. No redirect is followed, and at most 4 KiB of the answer are read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HttpProbe")]
    pub http: Option<HttpProbe>,
    /// `grpc.health.v1.Health/Check` without TLS; healthy is SERVING.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "GrpcProbe")]
    pub grpc: Option<GrpcProbe>,
    /// From one probe's begin to the next one's, 100ms to 1h. Default 1s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", transform = INTERVAL.schema(), extend("default" = "1s"))]
    pub interval: Option<String>,
    /// The interval while it is in doubt how the backend is: from the first failure on until it is
    /// ejected or answers, from the first success on until it is re-admitted or fails. 50ms to 60s,
    /// not above the interval; 0s, or the interval itself, is no hurry. Default 200ms, or a shorter
    /// interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", transform = FAST_INTERVAL.schema())]
    pub fast_interval: Option<String>,
    /// For all of a probe, 10ms to 60s, not above the interval. Default 500ms, or a shorter
    /// interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", transform = TIMEOUT.schema())]
    pub timeout: Option<String>,
    /// Failures in a row that eject, 1 to 100. Default 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = THRESHOLD.from, max = THRESHOLD.to))]
    #[schemars(extend("default" = 2))]
    pub unhealthy: Option<i32>,
    /// Successes in a row that re-admit, 1 to 100. Default 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = THRESHOLD.from, max = THRESHOLD.to))]
    #[schemars(extend("default" = 3))]
    pub healthy: Option<i32>,
}

/// A TCP probe has no settings of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TcpProbe {}

/// An HTTP probe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpProbe {
    /// Path and query. Default `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", transform = PATH.schema(), extend("default" = "/"))]
    pub path: Option<String>,
    /// The Host header. Default: address and port of the backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", transform = HOST.schema())]
    pub host: Option<String>,
    /// Another port than the backend's own, 1 to 65535.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = PORT.from, max = PORT.to))]
    pub port: Option<i32>,
    /// Which status is healthy: one, or the first and the last of a range. Default `200-399`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", transform = STATUS.schema(), extend("default" = "200-399"))]
    #[schemars(extend("x-kubernetes-validations" = rules::status()))]
    pub status: Option<String>,
}

/// A gRPC probe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcProbe {
    /// The service that is asked about. Omitted: the server as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", transform = GRPC_SERVICE.schema())]
    pub service: Option<String>,
    /// Another port than the backend's own, 1 to 65535.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = PORT.from, max = PORT.to))]
    pub port: Option<i32>,
}
