//! `secgpt host`: other machines run spokes for this hub.
//!
//! Answers: how does a machine come in, and how is it started there?
//! Never: sends a key anywhere; the credentials file is for the person to carry.
//! Carries: I-15.

use std::path::{Path, PathBuf};

use bus::acl::Role;
use bus::client::Address;
use bus::id::HostId;
use bus::identity::Credential;
use bus::launch::Identity;
use tokio::sync::mpsc;

use super::{interrupted, print, print_json, say};
use crate::cli::{Global, Host};
use crate::config::Config;
use crate::enrolled::Enrolled;
use crate::error::Error;
use crate::state::{State, write_private};
use crate::supervisor::{self, HOST, child};
use crate::system;

/// Enrolls a machine, or runs spokes on this one.
///
/// # Errors
/// If there are no keys to sign with, or the hub's broker cannot be reached.
pub async fn run(config: &Config, global: &Global, command: &Host) -> Result<u8, Error> {
    match command {
        Host::Enroll { name, out, url } => enroll(config, global, name, out.as_deref(), url.as_deref()),
        Host::Revoke { name, creds } => revoke(config, global, name, creds.as_deref()).await,
        Host::Run { url, creds, tls_ca } => {
            let address = Address { url: url.clone(), tls_ca: tls_ca.clone() };
            serve(config, global, address, creds).await
        }
    }
}

fn enroll(
    config: &Config,
    global: &Global,
    name: &HostId,
    out: Option<&Path>,
    url: Option<&str>,
) -> Result<u8, Error> {
    let state = State::open(&config.state_dir)?;
    let credential = state.realm()?.signer()?.issue(&Role::Host(name.clone()), None)?;
    let file = out.map_or_else(|| PathBuf::from(format!("{name}.creds")), Path::to_owned);
    // Noted first: a credential that is nowhere noted could not be taken back.
    let mut enrolled = Enrolled::load(&state)?;
    enrolled.enrol(name.clone(), claim(&credential.jwt, "sub").unwrap_or_default());
    enrolled.save(&state)?;
    write_private(&file, credential.to_creds().expose().as_bytes())?;
    let usual = match (&config.bus.url, config.bus.listen) {
        (Some(url), _) => url.clone(),
        (None, Some(listen)) => {
            format!("{}://{listen}", if config.bus.tls.is_some() { "tls" } else { "nats" })
        }
        (None, None) => "tls://THIS-MACHINE:4222".to_owned(),
    };
    let url = url.unwrap_or(&usual);
    let ca = if url.starts_with("tls:") { " --tls-ca CA.pem" } else { "" };
    let command = format!("secgpt host run --url {url} --creds {}{ca}", file.display());
    if global.json {
        print_json(&serde_json::json!({ "host": name, "credentials": file, "command": command }))?;
        return Ok(0);
    }
    print(&format!(
        "{} holds the credentials of the host {name}; take it to that machine and run there:\n  {command}\n",
        file.display()
    ));
    if config.bus.url.is_none() && config.bus.listen.is_none_or(|listen| listen.ip().is_loopback()) {
        say("note: the bundled broker listens on this machine only; to let others in, set for example\n  \
             [bus] listen = \"0.0.0.0:4222\" with tls_cert and tls_key");
    }
    Ok(0)
}

/// Takes the credentials of a host back: written down, so that every broker that is started from here on refuses them,
/// and told to the one that runs.
async fn revoke(config: &Config, global: &Global, name: &HostId, creds: Option<&Path>) -> Result<u8, Error> {
    let state = State::open(&config.state_dir)?;
    let mut enrolled = Enrolled::load(&state)?;
    let given = match creds {
        Some(file) => claim(&system::credentials(file)?.jwt, "sub"),
        None => None,
    };
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    // What was signed in this very second is meant, too.
    let count = enrolled.revoke(name, given, now.saturating_add(1));
    if count == 0 {
        let known: Vec<&str> = enrolled.hosts().map(HostId::as_str).collect();
        let hint = match known.is_empty() {
            true => "no host is let in; for one that was enrolled elsewhere, name its file with --creds"
                .to_owned(),
            false => format!("let in are {}; for another, name its file with --creds", known.join(", ")),
        };
        return Err(Error::failed(format!("no credential of a host {name} is in force")).hint(hint));
    }
    enrolled.save(&state)?;
    let told = match running(config, &state)? {
        None => false,
        Some(address) => {
            let realm = state.realm()?;
            let claims = realm.claims(&enrolled.revoked())?;
            bus::system_account::push(&address, &realm.system_credential()?, &claims).await.map_err(|error| {
                Error::failed(format!("the broker at {} was not told, and goes on", address.url))
                    .because(error)
                    .hint("it is written down and holds from the broker's next start; ask again to tell it now")
            })?;
            true
        }
    };
    if global.json {
        print_json(&serde_json::json!({ "revoked": name, "credentials": count, "in_force": told }))?;
        return Ok(0);
    }
    let when = if told { "the broker lets it in no more" } else { "it holds from the broker's next start" };
    print(&format!(
        "revoked {count} credential{} of the host {name}; {when}\n",
        if count == 1 { "" } else { "s" }
    ));
    Ok(0)
}

/// Where the broker is that must be told: that of the settings, or the one that runs on this state folder.
fn running(config: &Config, state: &State) -> Result<Option<Address>, Error> {
    if let Some(url) = &config.bus.url {
        return Ok(Some(Address { url: url.clone(), tls_ca: config.bus.tls_ca.clone() }));
    }
    let running = match state.try_lock()? {
        Ok(_) => None,
        Err(_) => state.running(),
    };
    Ok(running.map(|running| Address { url: running.url, tls_ca: running.tls_ca }))
}

async fn serve(config: &Config, global: &Global, address: Address, creds: &Path) -> Result<u8, Error> {
    let Credential { jwt, seed } = system::credentials(creds)?;
    let host = host_of(&jwt).ok_or_else(|| {
        Error::usage(format!("{} is not the credential of a host", creds.display()))
            .hint("`secgpt host enroll NAME` makes one")
    })?;
    let state = State::open(&config.state_dir)?;
    let settings = supervisor::host_config(config, host.clone(), state.folder("data")?)?;
    let spec = child::Spec {
        name: HOST,
        program: supervisor::program(HOST)?,
        args: Vec::new(),
        env: &[],
        ours: true,
    };
    let (ends, mut ended) = mpsc::channel(1);
    let log = supervisor::log::Log::open(&state.folder("log")?, &format!("{HOST}-{host}"), None)?;
    let mut running = child::Running::start(&spec, log, ends)?;
    let url = address.url.clone();
    if let Err(error) = running.launch(&address, |_| Ok(Identity::Given { jwt, seed }), settings).await {
        running.stop().await;
        return Err(error);
    }
    match global.json {
        true => print_json(&serde_json::json!({ "ready": true, "host": host, "url": url }))?,
        false => {
            print(&format!("ready  the host {host} runs spokes for the hub at {url}; Ctrl-C stops it\n"))
        }
    }
    tokio::select! {
        () = interrupted() => {
            running.stop().await;
            Ok(0)
        }
        _ = ended.recv() => {
            Err(Error::failed(format!("spoke-host {}", running.how())).hint(format!("it said: {}", running.last_words())))
        }
    }
}

/// The host that a statement names. The broker checks the statement; this only reads it.
fn host_of(jwt: &str) -> Option<HostId> {
    HostId::parse(claim(jwt, "name")?.strip_prefix("host ")?).ok()
}

/// A text that a statement holds.
fn claim(jwt: &str, name: &str) -> Option<String> {
    let body = base64(jwt.split('.').nth(1)?)?;
    let claims: serde_json::Value = serde_json::from_slice(&body).ok()?;
    claims.get(name)?.as_str().map(str::to_owned)
}

/// Base64 as in JWTs: the URL alphabet, no padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0_u32);
    for character in text.bytes() {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if 8 <= count {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bus::identity::Realm;

    use super::*;

    #[test]
    fn a_hosts_credential_says_which_host_it_is_for() {
        let signer = Realm::generate().unwrap().signer().unwrap();
        let name = HostId::parse("left-rack-2").unwrap();
        let host = signer.issue(&Role::Host(name.clone()), None).unwrap();
        assert_eq!(host_of(&host.jwt), Some(name));
        assert_eq!(host_of(&signer.issue(&Role::Tap, None).unwrap().jwt), None);
        assert_eq!(host_of("a.b.c"), None);
    }
}
