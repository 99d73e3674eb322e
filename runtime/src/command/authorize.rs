//! `secgpt apps authorize`: an app may use an account of the user's.
//!
//! Answers: which credential of which app is meant, and what has the person to do for it?
//! Never: speaks to the web; that is the egress-gateway's program. Shows, logs or keeps a key or a token, or hands one on
//! by argument or variable: it goes to that program on its standard input.
//! Carries: I-15.

pub(super) mod gateway;

mod secret;

use std::collections::BTreeSet;

use bus::id::{AppId, UserId};
use bus::launch::authorize::{Client, Said};
use bus::secret::Secret;
use manifest::{CredentialKind, CredentialUse, Manifest};
use serde_json::{Value, json};

use self::gateway::{Gateway, Whose};
use super::{apps, print, print_json, say, take_up, user};
use crate::cli::{Authorize, Global};
use crate::config::Config;
use crate::error::Error;
use crate::show::clean;

/// Gives, lists or forgets.
///
/// # Errors
/// If there is no such app or credential, or it was not given.
pub async fn run(config: &Config, global: &Global, asked: &Authorize) -> Result<u8, Error> {
    let gateway = Gateway::new(config)?;
    if asked.list {
        let all = gateway.list().await?;
        let of_app = |entry: &&Value| asked.app.as_ref().is_none_or(|app| entry["app"] == app.as_str());
        let found: Vec<&Value> = all.iter().filter(of_app).collect();
        if global.json {
            print_json(&found)?;
        } else {
            print(&table(&found));
        }
        return Ok(0);
    }
    let Some(app) = &asked.app else { return Err(Error::usage("which app?")) };
    let user = if asked.everyone { None } else { Some(user(asked.user.as_ref())?) };
    if asked.remove {
        return remove(config, global, asked, &gateway, app, user).await;
    }
    let manifest = installed(config, app)?;
    let (name, used) = credential(&manifest, asked.credential.as_deref())?;
    let whose = Whose { app: app.clone(), name: name.clone(), user };
    let kept = match used.kind {
        CredentialKind::ApiKey => {
            give_key(global, asked, &gateway, &whose, used).await?;
            json!({})
        }
        CredentialKind::Oauth2 => leave(global, asked, &gateway, &whose, used).await?,
    };
    done(global, &whose, used, &kept)?;
    take_up::by_running(config, global, app).await?;
    Ok(0)
}

/// The manifest, which says what is needed.
fn installed(config: &Config, app: &AppId) -> Result<Manifest, Error> {
    let (found, errors) = apps::installed(config);
    let names: Vec<String> = found.iter().map(|manifest| manifest.app.to_string()).collect();
    found.into_iter().find(|manifest| manifest.app == *app).ok_or_else(|| {
        // An app that is there and does not load says why itself.
        let own = errors.into_iter().find(|error| error.contains(&format!("/{app}/")));
        let hint = own.unwrap_or_else(|| format!("installed are {}", names.join(", ")));
        Error::failed(format!("there is no app {app}")).hint(clean::line(&hint, 2000))
    })
}

/// The credential that is meant.
fn credential<'a>(
    manifest: &'a Manifest,
    named: Option<&str>,
) -> Result<(&'a String, &'a CredentialUse), Error> {
    let all = &manifest.credentials;
    let names = || all.keys().map(|name| clean::line(name, 60)).collect::<Vec<_>>().join(", ");
    match named {
        Some(named) => all.get_key_value(named).ok_or_else(|| {
            let none = format!("{} has no credential of the name {:?}", manifest.app, named);
            Error::failed(none).hint(format!("its manifest names: {}", names()))
        }),
        None if all.len() < 2 => all.iter().next().ok_or_else(|| {
            let none =
                format!("the manifest of {} names no credential, so there is nothing to give", manifest.app);
            Error::failed(none)
                .hint(format!("see [credentials] in {}", manifest.dir.join("app.toml").display()))
        }),
        None => Err(Error::usage(format!("{} has several credentials: {}", manifest.app, names()))
            .hint("name one with --credential")),
    }
}

async fn remove(
    config: &Config,
    global: &Global,
    asked: &Authorize,
    gateway: &Gateway,
    app: &AppId,
    user: Option<UserId>,
) -> Result<u8, Error> {
    // Also of an app that is gone, if it is named.
    let name = match &asked.credential {
        Some(name) => name.clone(),
        None => credential(&installed(config, app)?, None)?.0.clone(),
    };
    let whose = Whose { app: app.clone(), name, user };
    gateway.remove(&whose).await?;
    if global.json {
        print_json(&json!({"removed": whose.shown()}))?;
    } else {
        print(&format!("forgotten: {} of {app}, of {}\n", clean::line(&whose.name, 60), whose.who()));
        say("a token may still be good at the service itself; take the leave back there, too");
    }
    // The gateway has it no more. One that runs goes on offering the app, and says what to do when it is used.
    Ok(0)
}

/// Forgets all that belong to an app, of whomever: the app goes. How many there were.
///
/// # Errors
/// If one cannot be removed.
pub async fn forget(config: &Config, app: &AppId) -> Result<usize, Error> {
    let gateway = Gateway::new(config)?;
    let mut count = 0_usize;
    for entry in gateway.list().await?.iter().filter(|entry| entry["app"] == app.as_str()) {
        let user = entry["user"].as_str().map(UserId::parse).transpose()?;
        let name = entry["name"].as_str().unwrap_or_default().to_owned();
        gateway.remove(&Whose { app: app.clone(), name, user }).await?;
        count = count.saturating_add(1);
    }
    Ok(count)
}

/// The apps of which a credential is kept, of whomever.
///
/// # Errors
/// If the list cannot be read.
pub async fn authorized(config: &Config) -> Result<Vec<AppId>, Error> {
    let all = Gateway::new(config)?.list().await?;
    let apps: BTreeSet<AppId> =
        all.iter().filter_map(|entry| AppId::parse(entry["app"].as_str()?).ok()).collect();
    Ok(apps.into_iter().collect())
}

/// A key that a person has.
async fn give_key(
    global: &Global,
    asked: &Authorize,
    gateway: &Gateway,
    whose: &Whose,
    used: &CredentialUse,
) -> Result<(), Error> {
    if asked.device || asked.no_browser || asked.client_id.is_some() || asked.client_secret {
        return Err(Error::usage(format!(
            "{} of {} is an API key, not an OAuth 2 token",
            whose.name, whose.app
        ))
        .hint("give the key: leave --device, --no-browser and --client-… out"));
    }
    let question = format!("The key for {} ({} of {})", used.hosts.join(", "), whose.name, whose.app);
    let key = secret::read(&clean::line(&question, 200), asked.from_env.as_deref(), global.quiet).await?;
    let value = match &used.prefix {
        Some(prefix) => Secret::new(format!("{prefix} {}", key.expose())),
        None => key,
    };
    gateway.set(whose, &json!({"api_key": {"value": value}})).await
}

/// A token that a service gives, with the leave of a person.
async fn leave(
    global: &Global,
    asked: &Authorize,
    gateway: &Gateway,
    whose: &Whose,
    used: &CredentialUse,
) -> Result<Value, Error> {
    let secret = match asked.client_secret || asked.from_env.is_some() {
        true => {
            let question = "The secret of the OAuth 2 client";
            Some(secret::read(question, asked.from_env.as_deref(), global.quiet).await?)
        }
        false => None,
    };
    let client = Client { id: asked.client_id.clone(), secret };
    if !global.json && !global.quiet {
        say(&introduction(whose, used, client.id.as_deref()));
    }
    let device = asked.device || used.server.authorize_url.is_none() && used.server.device_url.is_some();
    let told = gateway
        .ask(whose, &client, device, |said| match said {
            said if global.json => print_json(said),
            Said::Open { url } => {
                show_address(url, asked.no_browser);
                Ok(())
            }
            Said::Visit { url, code, complete, seconds } => {
                say(&visit(url, code, complete.as_deref(), *seconds));
                Ok(())
            }
            Said::Stored { .. } | Said::Failed { .. } => Ok(()),
        })
        .await?;
    match told {
        Said::Failed { detail, hint } => Err(Error::failed(clean::line(&detail, 600)).maybe_hint(hint)),
        Said::Stored { expires, renewable } => Ok(json!({"expires": expires, "renewable": renewable})),
        Said::Open { .. } | Said::Visit { .. } => Err(Error::failed("the egress-gateway stopped half-way")),
    }
}

/// Whom it is about to ask, and where the token will go: what a person should know before.
fn introduction(whose: &Whose, used: &CredentialUse, client: Option<&str>) -> String {
    let scopes = match used.server.scopes.as_slice() {
        [] => "nothing in particular".to_owned(),
        scopes => scopes.join(", "),
    };
    let host = |url: &Option<String>| {
        let url = url.as_deref().unwrap_or_default();
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        rest.split(['/', '?']).next().unwrap_or_default().to_owned()
    };
    let at = [&used.server.authorize_url, &used.server.device_url].into_iter().find(|url| url.is_some());
    // With the name of a client there is nothing to register.
    let registers = match (client.or(used.server.client_id.as_deref()), &used.server.registration_url) {
        (None, url @ Some(_)) => {
            format!("; secgpt registers as a client at {}", clean::line(&host(url), 253))
        }
        _ => String::new(),
    };
    format!(
        "{} asks for: {}\n  at {}; tokens come from {}{registers}\n  and go with its requests to {}",
        whose.app,
        clean::line(&scopes, 400),
        clean::line(&host(at.unwrap_or(&None)), 253),
        clean::line(&host(&used.server.token_url), 253),
        clean::line(&used.hosts.join(", "), 400)
    )
}

fn show_address(url: &str, no_browser: bool) {
    let opened = !no_browser && gateway::open_browser(url);
    let what = if opened {
        "Your browser opens this address; sign in there:"
    } else {
        "Open this in a browser on this machine:"
    };
    // Whole, however long: a part of an address is of no use.
    say(&format!("{what}\n\n  {}\n", clean::line(url, usize::MAX)));
}

fn visit(url: &str, code: &str, complete: Option<&str>, seconds: u64) -> String {
    let minutes = (seconds / 60).max(1);
    let short = complete.map(|url| format!("\n  (or open {})", clean::line(url, 400))).unwrap_or_default();
    format!(
        "Open {} on any device and type the code\n\n    {}\n\n  within {minutes} minutes.{short}",
        clean::line(url, 400),
        clean::line(code, 40)
    )
}

fn done(global: &Global, whose: &Whose, used: &CredentialUse, kept: &Value) -> Result<(), Error> {
    if global.json {
        let mut stored = whose.shown();
        if let (Value::Object(stored), Value::Object(kept)) = (&mut stored, kept) {
            stored.extend(kept.clone());
        }
        return print_json(&json!({"stored": stored}));
    }
    print(&format!(
        "{} of {} is kept, sealed, for {}; it goes with requests to {}\n",
        clean::line(&whose.name, 60),
        whose.app,
        whose.who(),
        clean::line(&used.hosts.join(", "), 400)
    ));
    if kept["renewable"] == false {
        say("the service gave nothing to renew the token with: when it ends, authorize again");
    }
    Ok(())
}

/// One line a credential.
fn table(found: &[&Value]) -> String {
    if found.is_empty() {
        return "no credentials\n".to_owned();
    }
    let line = |entry: &&Value| {
        let field = |name: &str| entry[name].as_str().map(|text| clean::line(text, 60));
        format!(
            "{:<20} {:<20} {:<8} {}\n",
            field("app").unwrap_or_default(),
            field("name").unwrap_or_default(),
            field("kind").unwrap_or_default(),
            field("user").unwrap_or_else(|| "everyone".to_owned())
        )
    };
    found.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_shows_whose_and_never_what() {
        let entry = json!({"app": "mail", "name": "google", "kind": "oauth2", "user": null});
        assert_eq!(table(&[&entry]), "mail                 google               oauth2   everyone\n");
        assert_eq!(table(&[]), "no credentials\n");
    }

    #[test]
    fn a_code_and_its_address_cannot_move_the_cursor() {
        let shown = visit("https://example.com/\u{1b}[2J", "AB\rCD", None, 30);
        assert!(shown.contains("https://example.com/[2J") && shown.contains("AB CD"), "{shown:?}");
        assert!(shown.contains("within 1 minutes"));
    }
}
