//! How one signs in at a server on the web is asked for `secgpt apps add` and `secgpt apps pin`, and shown.
//!
//! Answers: what does a person see of it before they agree?
//! Never: leaves the rules under which it was asked; changes what the app may reach.
//! Carries: I-12, I-17.

use std::net::SocketAddr;

use bus::id::AppId;

use crate::command::authorize::gateway::Gateway;
use crate::error::Error;
use crate::install::discovery::{self, SignIn};
use crate::install::staging::{self, Staging};
use crate::show::clean;
use crate::show::paint::Paint;

/// What is known of it, or why it is not.
pub(super) type Found = Result<SignIn, String>;

/// Asks, at this server and at whomever it names, each under rules for that one host, which go with the staging folder.
/// `challenges` are what it demanded, and `local` the addresses that the person has named.
pub(super) async fn ask(
    gateway: &Gateway,
    staging: &Staging,
    app: &AppId,
    (url, local): (&str, &[SocketAddr]),
    challenges: &[String],
) -> Found {
    let dir = staging.scratch("sign-in").join(app.as_str());
    let way = |place: &_| {
        let cannot = || Error::failed("no rules can be written for one of its addresses");
        let errand = discovery::errand(app, place, local).ok_or_else(cannot)?;
        std::fs::create_dir_all(&dir).map_err(|error| cannot().because(error))?;
        staging::write(&dir, "app.toml", &errand)?;
        Ok(gateway.way(&dir, None))
    };
    let found = discovery::discover(discovery::Server { url, local }, challenges, way).await;
    found.map_err(|why| clean::line(&why, 600))
}

/// Lines for a terminal.
pub(super) fn told(found: &Found, paint: Paint) -> String {
    match found {
        Ok(sign_in) => format!(
            "  {}\n  whatever you give leave for there, the app's own server gets the token of it\n",
            clean::line(&sign_in.to_string(), 1200)
        ),
        Err(why) => {
            format!("  {} {}\n", paint.warning("how one signs in is not known:"), clean::line(why, 600))
        }
    }
}
