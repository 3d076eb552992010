//! The ClusterProperty that says which id the own cluster has (KEP-2149).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::decode;

/// Versions of its API, the newest first: a server knows at most some of them.
const VERSIONS: [&str; 3] = ["v1", "v1beta1", "v1alpha1"];
/// `metadata.name` of the property that is the id.
const ID: &str = "cluster.clusterset.k8s.io";
/// Longest id: that of a label's value, which an id is on slices.
pub(crate) const LONGEST_ID: usize = 63;

/// Where the property may be, in the order in which it is asked for.
#[must_use]
pub fn paths() -> [String; 3] {
    VERSIONS.map(|version| format!("/apis/about.k8s.io/{version}/clusterproperties/{ID}"))
}

/// The id that a property says.
///
/// # Errors
///
/// Why it says none, for people.
pub fn cluster_id(json: &[u8]) -> Result<String, String> {
    let Written { metadata, spec } = decode(json)?;
    if metadata.name.as_deref() != Some(ID) {
        return Err(format!("it is not called {ID}"));
    }
    let value = spec.value;
    if is_cluster_id(&value) {
        return Ok(value);
    }
    Err(format!(
        "its value {value:?} is no id; an id is a DNS label of at most {LONGEST_ID} characters"
    ))
}

/// Whether a text can be the id of a cluster: a DNS label (KEP-2149), as labels of slices have it.
#[must_use]
pub fn is_cluster_id(text: &str) -> bool {
    let is_char = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LONGEST_ID).contains(&text.len())
        && text.bytes().all(is_char)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[derive(Deserialize)]
struct Written {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
}

#[derive(Default, Deserialize)]
struct Spec {
    #[serde(default)]
    value: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_is_a_dns_label() {
        let read = |value: &str| {
            let object = json!({"metadata": {"name": ID}, "spec": {"value": value}});
            cluster_id(object.to_string().as_bytes())
        };
        assert_eq!(read("east-1"), Ok("east-1".to_owned()));
        for odd in ["", "*", "East", "a/b", "-a", "a-", "a.b", &"x".repeat(64)] {
            assert!(read(odd).expect_err(odd).contains("is no id"), "{odd}");
        }
        let other = json!({"metadata": {"name": "clusterset.k8s.io"}, "spec": {"value": "set"}});
        assert!(cluster_id(other.to_string().as_bytes()).is_err());
        assert!(cluster_id(b"{}").is_err());
    }
}
