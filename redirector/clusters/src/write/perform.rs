//! Makes one request of a writer's.

use redirector_kube::client::{Client, Error};
use serde_json::{Value, json};

use super::{Actual, FIELD_MANAGER, Job, Key, Outcome, Request, kept::Ours};

/// Makes it; says what became of it, and the error if that is one that people should know of.
pub async fn perform(client: &Client, ours: Ours, job: &Job) -> (Outcome, Option<Error>) {
    let Job { key, request } = job;
    let Key { kind, namespace, name } = key;
    let collection = kind.collection(namespace);
    let by = format!("fieldManager={FIELD_MANAGER}");
    let is_delete = matches!(request, Request::Delete { .. });
    let answer = match request {
        Request::Create(object) => client.post(&format!("{collection}?{by}"), object).await,
        Request::Update(object) => client.put(&format!("{collection}/{name}?{by}"), object).await,
        Request::UpdateStatus(object) => {
            client.put(&format!("{collection}/{name}/status?{by}"), object).await
        }
        Request::Delete { uid } => {
            let options = json!({
                "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid},
            });
            client.delete(&format!("{collection}/{name}"), &options).await
        }
    };
    match answer {
        Ok(_) if is_delete => (Outcome::Gone, None),
        Ok(answer) => {
            let read = answer.object::<Value>().map_err(|error| error.to_string());
            match read.and_then(|object| Actual::read(*kind, ours, &object)) {
                Ok((_, actual)) => (Outcome::Written(Box::new(actual)), None),
                Err(why) => (Outcome::Failed { asked: None }, Some(Error::Malformed(why))),
            }
        }
        Err(Error::NotFound { .. }) if is_delete => (Outcome::Gone, None),
        Err(error @ Error::Conflict { .. }) => {
            // A name that is taken, or a version that has gone by.
            let answer = client.get(&format!("{collection}/{name}")).await;
            let read = answer.ok().and_then(|answer| answer.object::<Value>().ok());
            let found = read.and_then(|object| Actual::read(*kind, ours, &object).ok());
            let is_taken = found.as_ref().is_some_and(|(_, actual)| !actual.is_ours);
            let found = found.map(|(_, actual)| Box::new(actual));
            (Outcome::Conflict { found }, is_taken.then_some(error))
        }
        Err(error @ Error::NotFound { .. }) => (Outcome::Gone, Some(error)),
        Err(error) => (Outcome::Failed { asked: error.retry_after() }, Some(error)),
    }
}
