//! How long, how large, and of which objects.

use std::time::Duration;

/// Which objects a watch is of; both fields are the API's own syntax, and empty means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// A field selector: `metadata.name=node-1`.
    pub fields: String,
    /// A label selector: `kubernetes.io/service-name,!service.kubernetes.io/headless`.
    pub labels: String,
}

impl Selector {
    /// The beginning of a query.
    pub(super) fn query(&self) -> form_urlencoded::Serializer<'static, String> {
        let Self { fields, labels } = self;
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, selector) in [("fieldSelector", fields), ("labelSelector", labels)] {
            if !selector.is_empty() {
                query.append_pair(name, selector);
            }
        }
        query
    }
}

/// What a watch puts up with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest time from a request to its answer's headers. 10 s.
    pub first_byte: Duration,
    /// The longest time of one page of a LIST, as a whole. 30 s.
    pub list: Duration,
    /// A watch without an event or a bookmark. 60 s. By itself no sign that the server is away: of
    /// a kind that does not change a real one said nothing for 120 s (kube-apiserver `cacher.go`
    /// sends no bookmark that is not newer than what the watch has said).
    pub silence: Duration,
    /// How long the server is asked to let a watch live, ± 10 %. 290 s; less than `silence` after
    /// a watch that was silent: if neither an event nor that end comes, there is no news.
    pub watch: Duration,
    /// The first wait after an error; doubled with each, with jitter. 500 ms.
    pub backoff: Duration,
    /// The longest wait, also of those that the server asks for by `Retry-After`. 30 s.
    pub longest_backoff: Duration,
    /// Between full relists, ± 20 %. 10 min.
    pub relist: Duration,
    /// The longest page of a LIST, in bytes. 64 MiB.
    pub page: usize,
    /// One line of a WATCH, in bytes: more than a server can send of an object, of which etcd takes
    /// 1.5 MiB and JSON makes up to six times as much (`\u0001`). 16 MiB. What is longer is passed
    /// over, and its object keeps its last version.
    pub line: usize,
    /// Objects per page that are asked for. 500.
    pub page_size: usize,
    /// Objects of this kind, beyond which a list is refused. 500,000.
    pub objects: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(10),
            list: Duration::from_secs(30),
            silence: Duration::from_secs(60),
            watch: Duration::from_secs(290),
            backoff: Duration::from_millis(500),
            longest_backoff: Duration::from_secs(30),
            relist: Duration::from_secs(600),
            page: 64 << 20,
            line: 16 << 20,
            page_size: 500,
            objects: 500_000,
        }
    }
}

impl Limits {
    /// Every time divided by `divisor`, at least 1; sizes stay.
    #[must_use]
    pub fn divided_by(mut self, divisor: u32) -> Self {
        let Self { first_byte, list, silence, watch, backoff, longest_backoff, relist, .. } =
            &mut self;
        for time in [first_byte, list, silence, watch, backoff, longest_backoff, relist] {
            *time /= divisor.max(1);
        }
        self
    }
}
