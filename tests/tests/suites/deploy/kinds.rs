//! The kinds of the Multi-Cluster Services API that come along: an API server takes them, and they take what
//! the importer writes.

use std::fs;

use serde_json::{Value, json};

use super::{
    clusters::for_both,
    render::{deploy, documents, name},
    strict::decode,
};

/// Who removes Redirector keeps their exports; whoever brought the kinds keeps theirs.
#[test]
fn the_kinds_of_the_api_of_others_are_no_part_of_it_and_are_structural() {
    let of_others = |objects: &[Value]| {
        objects.iter().filter(|object| name(object).ends_with("multicluster.x-k8s.io")).count()
    };
    for_both(|objects| assert_eq!(of_others(objects), 0));
    let mut names = Vec::new();
    for file in ["serviceexports.yaml", "serviceimports.yaml"] {
        let text = fs::read_to_string(deploy().join("crd/mcs").join(file)).expect("a CRD");
        for object in documents(&text) {
            decode(file, &object);
            names.push(name(&object).to_owned());
            let versions = object["spec"]["versions"].as_array().expect("versions");
            let served: Vec<_> =
                versions.iter().map(|one| (&one["name"], &one["storage"])).collect();
            let wanted = [(&json!("v1beta1"), &json!(true)), (&json!("v1alpha1"), &json!(false))];
            assert_eq!(served, wanted);
            // No conversion: each version keeps what the other one does.
            assert_eq!(versions[0]["schema"], versions[1]["schema"], "{file}");
            for version in versions {
                assert_eq!(version["subresources"], json!({"status": {}}), "{file}");
                let schema = &version["schema"]["openAPIV3Schema"];
                assert_structural(file, schema);
                jsonschema::validator_for(schema).expect("a schema");
            }
        }
    }
    assert_eq!(
        names,
        ["serviceexports", "serviceimports"].map(|of| format!("{of}.multicluster.x-k8s.io"))
    );
}

/// What the importer writes is kept as it is by the CRD: nothing is pruned, nothing refused.
#[test]
fn an_import_in_full_is_one_that_the_definition_takes() {
    let text = fs::read_to_string(deploy().join("crd/mcs/serviceimports.yaml")).expect("a CRD");
    let definition = documents(&text).remove(0);
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let port = json!({"name": "http", "protocol": "TCP", "appProtocol": "http", "port": 80});
    let import = json!({
        "spec": {
            "type": "ClusterSetIP", "ports": [port], "ips": ["10.96.9.9", "fd00::9"],
            "ipFamilies": ["IPv4", "IPv6"], "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10_800}},
            "internalTrafficPolicy": "Cluster", "trafficDistribution": "PreferClose",
        },
        "status": {
            "clusters": [{"cluster": "west"}], "endpointSliceObjects": "Present",
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "Ready", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
            }],
        },
    });
    let validator = jsonschema::validator_for(schema).expect("a schema");
    if let Err(error) = validator.validate(&import) {
        panic!("{}: {error}", error.instance_path());
    }
    let mut pruned = Vec::new();
    unknown(schema, &import, "", &mut pruned);
    assert_eq!(pruned, Vec::<String>::new());
    let mut wrong = import.clone();
    wrong["spec"]["type"] = "Both".into();
    assert!(!validator.is_valid(&wrong));
    wrong["spec"]["prots"] = json!([]);
    unknown(schema, &wrong, "", &mut pruned);
    assert_eq!(pruned, [".spec.prots"]);
}

/// Fields that the API server would prune.
fn unknown(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let path = format!("{path}.{field}");
                let below = &schema["properties"][field];
                match (below.is_null(), schema["additionalProperties"].is_null()) {
                    (false, _) => unknown(below, value, &path, found),
                    (true, true) => found.push(path),
                    (true, false) => {}
                }
            }
        }
        Value::Array(list) => {
            list.iter().for_each(|one| unknown(&schema["items"], one, path, found));
        }
        _ => {}
    }
}

/// apiextensions, `structural schema`: every part has one type; unions are not among the fields here.
fn assert_structural(file: &str, schema: &Value) {
    assert!(schema["type"].is_string(), "{file}: without a type: {schema}");
    for union in ["oneOf", "anyOf", "allOf", "$ref", "definitions"] {
        assert!(schema[union].is_null(), "{file}: {union}");
    }
    let fields = schema["properties"].as_object().into_iter().flatten().map(|(_, field)| field);
    let more = [&schema["items"], &schema["additionalProperties"]].into_iter();
    fields.chain(more.filter(|one| one.is_object())).for_each(|one| assert_structural(file, one));
}
