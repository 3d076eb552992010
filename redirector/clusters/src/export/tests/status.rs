//! What the status of a ServiceExport says.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};

use super::*;

fn web() -> ObjectRef {
    ObjectRef { namespace: "shop".into(), name: "web".into() }
}

fn said(objects: &[Value], is_written: bool) -> Vec<(String, String)> {
    let exporter = exporter(objects);
    let (export, state) = exporter.export_of(&web()).expect("an export");
    let said = conditions(export, state, is_written);
    let word = |holds| if holds { "True" } else { "False" };
    said.iter()
        .map(|one| (format!("{}={}", one.kind, word(one.holds)), one.reason.clone()))
        .collect()
}

#[test]
fn a_status_says_whether_the_export_is_valid_and_written() {
    for (objects, is_written, valid, ready) in [
        (vec![service(json!({}))], true, ("True", "Valid"), ("True", "Exported")),
        (vec![service(json!({}))], false, ("True", "Valid"), ("False", "Pending")),
        (vec![], true, ("False", "NoService"), ("False", "Failed")),
        (
            vec![service(json!({"type": "ExternalName", "externalName": "west.example"}))],
            true,
            ("False", "InvalidServiceType"),
            ("False", "Failed"),
        ),
    ] {
        let objects: Vec<Value> = objects.into_iter().chain([export(json!({}))]).collect();
        let expected = [("Valid", valid), ("Ready", ready)];
        let expected =
            expected.map(|(kind, (holds, why))| (format!("{kind}={holds}"), why.to_owned()));
        assert_eq!(said(&objects, is_written), expected);
    }
}

#[test]
fn an_invalid_export_is_not_in_the_outbox() {
    let name = service(json!({"type": "ExternalName", "externalName": "west.example"}));
    assert!(exporter(&[name, export(json!({}))]).exported().is_empty());
}

#[test]
fn a_status_that_stands_there_is_not_written_and_others_conditions_stay() {
    let now: Timestamp = "2026-11-30T12:00:01Z".parse().expect("a time");
    let later: Timestamp = "2026-11-30T12:00:09Z".parse().expect("a time");
    let mut object = export(json!({}));
    let read = |object: &Value| ServiceExport::decode(object.to_string().as_bytes()).expect("one");
    let foreign = json!({
        "type": "Foreign", "status": "True", "reason": "Theirs", "message": "",
        "lastTransitionTime": "2026-11-30T11:00:00Z",
    });
    object["status"] = json!({"conditions": [foreign]});
    let of = |object: &Value, is_written, at| {
        let export = read(object);
        written(&export, &conditions(&export, ExportState::Valid, is_written), at)
    };
    let first = of(&object, false, now).expect("nothing stands there");
    assert_eq!(
        first.iter().map(|one| &*one.type_).collect::<Vec<_>>(),
        ["Foreign", "Valid", "Ready"]
    );
    object["status"] = json!({"conditions": first});
    assert_eq!(of(&object, false, later), None);
    let second = of(&object, true, later).expect("Ready is another one");
    let since = |conditions: &[Condition], kind: &str| {
        let found = conditions.iter().find(|one| one.type_ == kind).expect("a condition");
        found.last_transition_time.0
    };
    assert_eq!((since(&second, "Valid"), since(&second, "Ready")), (now, later));
}
