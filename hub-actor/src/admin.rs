//! What a user may see and change besides asking.
//!
//! Answers: which grants, memories, apps and hosts are there?
//! Never: shows or changes another user's; whose it is comes from the subject.
//! Carries: I-02.

use std::time::Duration;

use bus::id::{AppId, UserId};
use bus::message::egress::{TakeUp, TakenUp};
use bus::message::user::Admin;
use bus::subject::{Op, Service, Subject};
use serde_json::{Value, json};

use crate::memory::key::Owner;
use crate::parts::Parts;
use crate::permission::grant::{Answer, Grant, GrantId, Reach, Scope};
use crate::session::Desk;

/// How long the gateway may take to read the apps' manifests.
const GATEWAY: Duration = Duration::from_secs(5);

/// Does what is asked for.
///
/// # Errors
/// In a sentence.
pub async fn answer(parts: &Parts, desk: &Desk, user: UserId, admin: Admin) -> Result<Value, String> {
    match admin {
        Admin::Grants => parts.permission.list(user).await.map_err(|error| error.to_string()),
        Admin::Revoke { grant } => {
            let id = GrantId::parse(&grant).map_err(|error| error.to_string())?;
            parts.permission.revoke(user, id).await?;
            Ok(json!({"revoked": grant}))
        }
        Admin::Expire { grant, days } => {
            let id = GrantId::parse(&grant).map_err(|error| error.to_string())?;
            let expires = parts.permission.end_in(user, id, days).await?;
            Ok(json!({"grant": grant, "expires": expires}))
        }
        Admin::Memory { app } => parts.memory.show(user, app.map(owner)).await,
        Admin::Forget { app } => {
            let forgotten = parts.memory.forget(user, app.map(owner)).await?;
            Ok(json!({"forgotten": forgotten}))
        }
        Admin::Apps => Ok(apps(parts)),
        Admin::TakeUp => take_up(parts).await,
        Admin::Choose { choice, app, keep } => parts.choosing.choose_app(user, choice, app, keep).await,
        Admin::Working { query } => {
            let working = desk.works_on(user, query).await.map_err(|error| error.to_string())?;
            Ok(json!({"working": working}))
        }
        Admin::Defaults => parts.choosing.defaults(user).await,
        Admin::SetDefault { functionality } => parts.choosing.set_default(user, functionality).await,
        Admin::ClearDefault { name } => parts.choosing.clear_default(user, name).await,
        Admin::Status => status(parts, desk).await,
        Admin::Stats => parts.permission.stats(user).await.map_err(|error| error.to_string()),
    }
}

/// The name `hub` is reserved, so that no app has it; here it means the conversation with the hub.
fn owner(app: AppId) -> Owner {
    if app.as_str() == "hub" { Owner::Hub } else { Owner::App(app) }
}

/// Grants as a person reads them.
#[must_use]
pub fn grants(grants: &[Grant]) -> Value {
    let one = |grant: &Grant| {
        json!({
            "id": grant.id.as_str(),
            "caller": grant.caller.to_string(),
            "functionality": grant.target.to_string(),
            "category": grant.category,
            "decision": match grant.answer { Answer::Allow => "allow", Answer::Deny => "deny" },
            "scope": match &grant.scope {
                Scope::Query(_) => "query".to_owned(),
                Scope::Session(session) => format!("session {session}"),
                Scope::Always => "always".to_owned(),
            },
            "labels": grant.labels.to_strings(),
            "receivers": grant.receivers,
            "reach": reach(grant),
            "expires": grant.expires,
            "created": grant.created,
        })
    };
    grants.iter().map(one).collect()
}

/// To whom a grant reaches, in words.
fn reach(grant: &Grant) -> String {
    let shown = grant.receivers.len();
    match &grant.reach {
        Reach::Shown if shown == 0 => "to receivers that you name".to_owned(),
        Reach::Shown => format!("to {shown} shown, and those that you name"),
        Reach::Domain(domain) => format!("to any address at {domain}"),
        Reach::Anybody => "to anybody".to_owned(),
    }
}

fn apps(parts: &Parts) -> Value {
    let mut apps = match parts.apps.catalogue().overview() {
        Value::Array(apps) => apps,
        other => vec![other],
    };
    apps.extend(parts.apps.problems().iter().map(|problem| {
        let folder = problem.file.parent().and_then(|folder| folder.file_name());
        json!({
            "app": folder.map(|name| name.to_string_lossy()),
            "problem": problem.to_string(),
            "hint": problem.hint,
        })
    }));
    Value::Array(apps)
}

async fn take_up(parts: &Parts) -> Result<Value, String> {
    parts.apps.take_up(gateway(parts)).await?;
    parts.spokes.offer(parts.apps.offers());
    Ok(apps(parts))
}

/// The gateway is asked first, so that no app runs whose rules it does not have.
async fn gateway(parts: &Parts) -> Result<Vec<AppId>, String> {
    let subject = Subject::HubOut { service: Service::Egress, op: Op::TAKE_UP };
    let taken_up: Result<TakenUp, _> = parts.bus.request(&subject, &TakeUp {}, None, GATEWAY).await;
    let failed =
        |error| format!("the egress-gateway does not say that it has the apps as they are now: {error}");
    taken_up.map(|taken_up| taken_up.authorized).map_err(failed)
}

async fn status(parts: &Parts, desk: &Desk) -> Result<Value, String> {
    let mut status = parts.spokes.overview().await;
    let memory = match parts.memory.ping().await {
        Ok(()) => json!({"up": true}),
        Err(why) => json!({"up": false, "why": why}),
    };
    let running = desk.running().await.map_err(|error| error.to_string())?;
    if let Some(fields) = status.as_object_mut() {
        fields.insert("memory".into(), memory);
        fields.insert("queries".into(), json!(running));
        fields.insert("apps".into(), json!(parts.apps.catalogue().apps().count()));
        fields.insert("problems".into(), json!(parts.apps.problems().len()));
        fields.insert("model".into(), json!(parts.model.note()));
        fields.insert("dropped".into(), json!(parts.bus.dropped()));
    }
    Ok(status)
}
