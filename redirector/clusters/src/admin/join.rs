//! Joins: the account there, a token of it, then here the Secret and the RemoteCluster.
//!
//! What is pointed at is written first: a join that was cut off anywhere leaves nothing that names what
//! does not exist, and the same join again completes it. A second one changes nothing.

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use redirector_kube::client::{self, ErrorKind};
use serde_json::Value;

use super::{Error, Side, identity::heartbeat_path, kinds, objects, plan::Plan};
use crate::api::{Credentials, NAMESPACE, OUTBOX, TOKEN_LIFE, token_request};

/// New Roles are in force everywhere within that.
const RIGHTS_SPREAD: Duration = Duration::from_secs(10);
/// How often it is asked whether they are.
const RIGHTS_POLL: Duration = Duration::from_millis(200);

/// One thing that was done, or was so already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// In which cluster.
    pub side: String,
    /// What.
    pub what: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was not there.
    Made,
    /// It was different.
    Changed,
    /// It is as it was.
    Unchanged,
    /// It is gone.
    Deleted,
}

impl Outcome {
    /// As it is printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Deleted => "deleted",
        }
    }
}

/// Who hears of steps while they are taken.
pub type Tell<'t> = &'t mut dyn FnMut(Step);

/// Makes the account by which `importer` reads the outbox there.
///
/// # Errors
///
/// [`Error::Request`].
pub async fn make_account(there: &Side, importer: &str, tell: Tell<'_>) -> Result<(), Error> {
    there.ensure(&objects::outbox()).await?;
    for object in objects::remote(importer) {
        apply(there, &object, tell).await?;
    }
    Ok(())
}

/// What carrying out a plan needs beside it.
#[derive(Debug)]
pub struct Join<'j> {
    /// Where it is imported.
    pub here: &'j Side,
    /// Who asks for the token there: its operator, or the account itself with an invitation's token.
    pub asks: &'j Side,
    /// Whether the API server may be out of reach from here: the operator gave another address for pods.
    pub may_be_unreachable: bool,
}

/// Brings the importer's credentials and the RemoteCluster into being. The account must be there.
/// Returns what the operator should know.
///
/// # Errors
///
/// [`Error::Request`], also if the API server does not answer the token as the importer will show it.
pub async fn carry_out(join: &Join<'_>, plan: &Plan, tell: Tell<'_>) -> Result<Vec<String>, Error> {
    let Join { here, asks, may_be_unreachable } = *join;
    let path = format!("/api/v1/namespaces/{NAMESPACE}/secrets/{}", plan.secret);
    let kept = here.get(&path).await?.and_then(|secret| Credentials::read(&secret).ok());
    let kept = kept.filter(|kept| kept.renew_at().is_some_and(|at| Timestamp::now() < at));
    let untried = |why: &Error| may_be_unreachable && is_unreachable(why);
    let told = |why: &Error| Some(format!("not tried from this host: {why}"));
    let tried = match &kept {
        Some(kept) => Some(answers(plan, kept, Duration::ZERO).await),
        None => None,
    };
    let (credentials, warning) = match tried {
        Some(Ok(())) => (None, None),
        Some(Err(why)) if untried(&why) => (None, told(&why)),
        _ => {
            let new = request_token(asks, &plan.importer, TOKEN_LIFE).await?;
            match answers(plan, &new, RIGHTS_SPREAD).await {
                Ok(()) => (Some(new), None),
                Err(why) if untried(&why) => (Some(new), told(&why)),
                Err(why) => return Err(why),
            }
        }
    };
    here.ensure(&objects::credentials_namespace()).await?;
    let secret = format!("Secret {NAMESPACE}/{}", plan.secret);
    match &credentials {
        Some(new) => apply(here, &new.secret(&plan.secret, &plan.exporter), tell).await?,
        None => {
            tell(Step { side: here.name().to_owned(), what: secret, outcome: Outcome::Unchanged });
        }
    }
    apply(here, &plan.remote_cluster, tell).await?;
    Ok(warning.into_iter().collect())
}

/// A token of the importer's account.
///
/// # Errors
///
/// [`Error::Request`].
pub async fn request_token(
    asks: &Side,
    importer: &str,
    life: Duration,
) -> Result<Credentials, Error> {
    let now = Timestamp::now();
    let answer = asks.post(&objects::token_path(importer), &token_request(life)).await?;
    Credentials::granted(&answer, now).map_err(|why| Error::Request {
        side: asks.name().to_owned(),
        deed: format!("ask for a token of the account of {importer}"),
        credentials: super::error::Credentials::Operator,
        source: Box::new(client::Error::Malformed(why)),
    })
}

/// Whether the API server answers the token as the importer will ask: by the address and CA bundle of
/// the RemoteCluster, for what is in the outbox.
async fn answers(plan: &Plan, credentials: &Credentials, spread: Duration) -> Result<(), Error> {
    let side = plan.address.side(&plan.exporter, &credentials.token).await?;
    let begun = Instant::now();
    loop {
        match ask_all(&side).await {
            Err(Error::Request { source, .. })
                if source.kind() == ErrorKind::Forbidden && begun.elapsed() < spread =>
            {
                tokio::time::sleep(RIGHTS_POLL).await;
            }
            answer => return answer,
        }
    }
}

async fn ask_all(side: &Side) -> Result<(), Error> {
    // What is not served yet is no obstacle: rights are asked about first.
    side.get(&heartbeat_path()).await?;
    for (group, resource) in objects::READS {
        let version = if group == "redirector.dev" { "v1alpha1" } else { "v1" };
        side.get(&format!("/apis/{group}/{version}/namespaces/{OUTBOX}/{resource}?limit=1"))
            .await?;
    }
    Ok(())
}

fn is_unreachable(why: &Error) -> bool {
    let Error::Request { source, .. } = why else { return false };
    matches!(source.kind(), ErrorKind::Unreachable | ErrorKind::TimedOut)
}

async fn apply(side: &Side, object: &Value, tell: Tell<'_>) -> Result<(), Error> {
    let before = side.get(&kinds::path(object)).await?;
    let after = side.apply(object).await?;
    let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
    let outcome = match before {
        None => Outcome::Made,
        Some(before) if version(&before) == version(&after) => Outcome::Unchanged,
        Some(_) => Outcome::Changed,
    };
    tell(Step { side: side.name().to_owned(), what: kinds::shown(object), outcome });
    Ok(())
}

/// What a join writes there, and what it writes here, without the token that only the server can make.
#[must_use]
pub fn dry_run(plan: &Plan) -> (Vec<Value>, Vec<Value>) {
    let mut there = vec![objects::outbox()];
    there.extend(objects::remote(&plan.importer));
    let mut secret = Credentials { token: String::new(), issued: None, expires: None }
        .secret(&plan.secret, &plan.exporter);
    if let Some(fields) = secret.as_object_mut() {
        fields.remove("data");
    }
    if let Some(fields) = secret["metadata"].as_object_mut() {
        fields.remove("annotations");
    }
    (there, vec![objects::credentials_namespace(), secret, plan.remote_cluster.clone()])
}
