//! The broker's own account: how a changed statement of the bus account reaches a running broker.
//!
//! Answers: how is a credential taken back at once?
//! Never: leaves the supervisor; no other role has a credential of this account.
//! Carries: I-01.

use std::time::Duration;

use crate::client::{Address, BusError, dial, signing};
use crate::identity::{Credential, RealmClaims};

/// Takes a changed account statement; answered with what became of it.
const CLAIMS_UPDATE: &str = "$SYS.REQ.CLAIMS.UPDATE";

/// How long the broker has to take it.
const LIMIT: Duration = Duration::from_secs(5);

/// Gives a running broker the statements of the bus account anew, revocations included (see
/// [`crate::identity::Realm::claims`]). Connections of revoked credentials are closed by the broker.
///
/// # Errors
/// If the broker cannot be reached with this credential, or does not take the statement.
pub async fn push(address: &Address, system: &Credential, claims: &RealmClaims) -> Result<(), BusError> {
    let options = signing(system)?
        .name("supervisor (system account)")
        .connection_timeout(LIMIT)
        .ignore_discovered_servers()
        .request_timeout(Some(LIMIT));
    let client = dial(address, options).await?;
    let answer = client
        .request(CLAIMS_UPDATE, claims.account.1.clone().into())
        .await
        .map_err(|error| BusError::Refused(format!("the changed account statement: {error}")))?;
    let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap_or_default();
    match answer.pointer("/data/code").and_then(serde_json::Value::as_i64) {
        Some(200) => Ok(()),
        _ => Err(BusError::Refused(format!("the changed account statement: {answer}"))),
    }
}
