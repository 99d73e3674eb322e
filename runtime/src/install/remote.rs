//! A server on the web is asked what it offers, before anybody has agreed to anything.
//!
//! Answers: which tools, resources and prompts does it list, or does it want to know first who asks?
//! Never: connects: each request is the egress-gateway's, by the manifest that is proposed; listens without end.
//! Carries: I-12, I-16, I-17.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bus::id::AppId;
use bus::message::egress::{FetchRequest, WebError, WebFailure};
use bus::message::offer::Offer;
use bus::message::profile::Wishes;
use futures_util::StreamExt;
use spoke::remote::{Fetch, Fetched, offer};

use crate::error::Error;
use crate::show::clean;

/// As much as it may say in all, bytes: as over a pipe.
const MAX_SAID: usize = 8 << 20;

/// What it said.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// All that it offers.
    Offer(Box<Offer>),
    /// Nothing, to somebody whom it does not know; with what it demands, as it wrote it.
    SignIn(Vec<String>),
}

/// Asks the server at this address. `carry` is the way to the web.
///
/// # Errors
/// Why it could not be asked.
pub async fn ask(carry: Fetch, app: &AppId, url: &str) -> Result<Heard, Error> {
    let demands = Arc::new(OnceLock::new());
    let carry = watched(carry, Arc::clone(&demands));
    match (offer(carry, url, Wishes::default()).await, demands.get()) {
        (Ok(offer), _) => Ok(Heard::Offer(Box::new(offer))),
        (Err(_), Some(demands)) => Ok(Heard::SignIn(demands.clone())),
        (Err(how), None) => Err(Error::failed(clean::line(&format!("{app} {how}"), 2000))),
    }
}

fn challenges(headers: &[(String, String)]) -> Vec<String> {
    let is = |name: &str| name.eq_ignore_ascii_case("www-authenticate");
    headers.iter().filter(|(name, _)| is(name)).map(|(_, value)| value.clone()).collect()
}

/// The same way, on which it is noticed that the server wants a sign-in, and how much it says.
fn watched(carry: Fetch, demands: Arc<OnceLock<Vec<String>>>) -> Fetch {
    let said = Arc::new(AtomicUsize::new(0));
    Arc::new(move |request: FetchRequest| {
        let (carrying, demands, said) = (carry(request), Arc::clone(&demands), Arc::clone(&said));
        Box::pin(async move {
            let Fetched { status, headers, body } = carrying.await?;
            if status == 401 {
                // The first counts. The gateway bounds how much there can be.
                let _ = demands.set(challenges(&headers));
            }
            let body = body.map(move |piece| {
                let piece = piece?;
                match said.fetch_add(piece.len(), Ordering::Relaxed).saturating_add(piece.len()) {
                    ..=MAX_SAID => Ok(piece),
                    _ => Err(WebFailure::new(
                        WebError::TooLarge,
                        format!("it says more than {} MiB of itself", MAX_SAID >> 20),
                    )),
                }
            });
            Ok(Fetched { status, headers, body: body.boxed() })
        })
    })
}
