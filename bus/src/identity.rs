//! Who is who on the bus: keys, and the signed statements of what a key may do.
//!
//! Answers: how does the broker know a role, and who may say so?
//! Never: sends a private key anywhere; never grants more than `acl::rights`.
//! Carries: I-01, I-09. Format: NATS JWT v2 as `nats-server` checks it; Ed25519 nkeys.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nats_jwt_rs::account::{Account, JetStreamLimits};
use nats_jwt_rs::operator::Operator;
use nats_jwt_rs::types::{Limits, NatsLimits, Permission, ResponsePermission, SigningKey};
use nats_jwt_rs::user::User;
use nkeys::{KeyPair, KeyPairType};

use crate::acl::{Role, rights};
use crate::limits::MAX_PAYLOAD;
use crate::secret::Secret;

/// What went wrong with a key or a credential.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}")]
pub struct IdentityError {
    /// What was being done.
    pub doing: &'static str,
    /// Why it failed.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    doing: &'static str,
) -> impl FnOnce(E) -> IdentityError {
    move |source| IdentityError { doing, source: source.into() }
}

/// A key and what it may do: everything a process needs to come on the bus.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The signed statement; not secret.
    pub jwt: String,
    /// The private key.
    pub seed: Secret,
}

impl Credential {
    /// In the form of a NATS `.creds` file.
    #[must_use]
    pub fn to_creds(&self) -> Secret {
        Secret::new(format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            self.jwt,
            self.seed.expose()
        ))
    }

    /// Reads the form of a NATS `.creds` file.
    #[must_use]
    pub fn from_creds(text: &str) -> Option<Self> {
        let mut blocks = text.lines().filter(|line| !line.starts_with("--") && !line.trim().is_empty());
        let (jwt, seed) = (blocks.next()?.trim().to_owned(), blocks.next()?.trim().to_owned());
        (jwt.matches('.').count() == 2 && seed.starts_with("SU"))
            .then(|| Self { jwt, seed: Secret::new(seed) })
    }
}

/// A process's own key. Only its public part leaves the process.
pub struct OwnKey(KeyPair);

impl OwnKey {
    /// A new key.
    #[must_use]
    pub fn generate() -> Self {
        Self(KeyPair::new_user())
    }

    /// The part that may travel.
    #[must_use]
    pub fn public(&self) -> String {
        self.0.public_key()
    }

    /// Together with the statement that was signed for it.
    ///
    /// # Errors
    /// If the key has no private part, which cannot be for a generated one.
    pub fn with_jwt(&self, jwt: String) -> Result<Credential, IdentityError> {
        let seed = self.0.seed().map_err(failed("read the own key"))?;
        Ok(Credential { jwt, seed: Secret::new(seed) })
    }
}

/// Signs users of the bus account. Held by the supervisor for the core, and by the hub for spokes and hosts.
pub struct Signer {
    key: KeyPair,
    account: String,
}

impl Signer {
    /// From the private signing key and the public key of the account it signs for.
    ///
    /// # Errors
    /// If the seed is not an account key's.
    pub fn new(seed: &Secret, account: String) -> Result<Self, IdentityError> {
        let key = KeyPair::from_seed(seed.expose()).map_err(failed("read the signing key"))?;
        if !matches!(key.key_pair_type(), KeyPairType::Account) {
            return Err(failed("read the signing key")("it is not an account's key"));
        }
        Ok(Self { key, account })
    }

    /// A statement that the holder of `public_key` has `role`, for `lifetime` from now; `None` for as long as
    /// the account lives.
    ///
    /// # Errors
    /// If `public_key` is not a user's public key.
    pub fn sign(
        &self,
        role: &Role,
        public_key: &str,
        lifetime: Option<Duration>,
    ) -> Result<String, IdentityError> {
        let holder = KeyPair::from_public_key(public_key).map_err(failed("read the public key"))?;
        if !matches!(holder.key_pair_type(), KeyPairType::User) {
            return Err(failed("read the public key")("it is not a user's key"));
        }
        let rights = rights(role);
        let mut claims = User::new_claims(name_of(role), public_key.to_owned());
        claims.exp = lifetime.map(|lifetime| unix_seconds().saturating_add(lifetime.as_secs()).cast_signed());
        let user = claims.payload_mut();
        user.issuer_account = Some(self.account.clone());
        user.permissions.permissions.publish = permission(rights.publish);
        user.permissions.permissions.subscribe = permission(rights.subscribe);
        user.permissions.permissions.resp =
            rights.respond.map(|(max, ttl)| ResponsePermission { max_messages: i64::from(max), ttl });
        user.permissions.limits = Some(Limits {
            user_limits: None,
            nats_limits: Some(NatsLimits {
                // The broker takes 0 for "no limit", so a role without subscriptions is held by its deny list.
                subs: Some(rights.subscriptions.filter(|&subs| 0 < subs).map_or(-1, i64::from)),
                data: Some(-1),
                payload: Some(i64::try_from(MAX_PAYLOAD).unwrap_or(i64::MAX)),
            }),
        });
        claims.encode(&self.key).map_err(failed("sign a credential"))
    }

    /// A new key with a statement for it, for a process that this one starts on the same machine and hands it to.
    ///
    /// # Errors
    /// As [`Signer::sign`].
    pub fn issue(&self, role: &Role, lifetime: Option<Duration>) -> Result<Credential, IdentityError> {
        let key = OwnKey::generate();
        key.with_jwt(self.sign(role, &key.public(), lifetime)?)
    }
}

/// For the broker an empty allow list means "everything", so an empty list becomes a denial of everything.
fn permission(allow: Vec<String>) -> Permission {
    if allow.is_empty() {
        Permission { allow: Vec::new(), deny: vec![">".to_owned()] }
    } else {
        Permission { allow, deny: Vec::new() }
    }
}

fn name_of(role: &Role) -> String {
    match role {
        Role::Hub => "hub".into(),
        Role::LlmGateway => "llm-gateway".into(),
        Role::EgressGateway => "egress-gateway".into(),
        Role::Supervisor => "supervisor".into(),
        Role::Host(host) => format!("host {host}"),
        Role::Spoke(spoke) => format!("spoke {spoke}"),
        Role::User(user) => format!("user {user}"),
        Role::Tap => "tap".into(),
        Role::Operator => "operator".into(),
    }
}

/// The roots of trust of one installation: made once, kept in the state directory (0600).
pub struct Realm {
    /// Signs accounts. Needed again only to revoke a credential.
    pub operator: Secret,
    /// The bus account's own key.
    pub account: Secret,
    /// Signs users of the bus account.
    pub signing: Secret,
    /// The system account's key.
    pub system: Secret,
}

/// What the broker is configured with; nothing in it is secret.
#[derive(Clone, Debug)]
pub struct RealmClaims {
    /// The operator's statement.
    pub operator_jwt: String,
    /// The bus account's public key and statement.
    pub account: (String, String),
    /// The system account's public key and statement.
    pub system: (String, String),
}

impl Realm {
    /// New keys.
    ///
    /// # Errors
    /// If the random source fails.
    pub fn generate() -> Result<Self, IdentityError> {
        let seed = |key: KeyPair| key.seed().map(Secret::new).map_err(failed("make a key"));
        Ok(Self {
            operator: seed(KeyPair::new_operator())?,
            account: seed(KeyPair::new_account())?,
            signing: seed(KeyPair::new_account())?,
            system: seed(KeyPair::new_account())?,
        })
    }

    /// The statements that the broker needs. `revoked` lists public keys of users and the time (Unix seconds)
    /// up to which what was signed for them is void.
    ///
    /// # Errors
    /// If a seed is damaged.
    pub fn claims(&self, revoked: &[(String, u64)]) -> Result<RealmClaims, IdentityError> {
        let pair =
            |seed: &Secret| KeyPair::from_seed(seed.expose()).map_err(failed("read a key of the realm"));
        let (operator, account, signing, system) =
            (pair(&self.operator)?, pair(&self.account)?, pair(&self.signing)?, pair(&self.system)?);
        let mut operator_claims = Operator::new_claims("secgpt".into(), operator.public_key());
        operator_claims.payload_mut().system_account = Some(system.public_key());
        let mut account_claims = Account::new_claims("bus".into(), account.public_key());
        let bus = account_claims.payload_mut();
        bus.signing_keys =
            Some([SigningKey { key: signing.public_key(), scope: None }].into_iter().collect());
        if let Some(limits) = bus.limits.as_mut() {
            limits.jetstream = Some(JetStreamLimits {
                memory_storage: Some(-1),
                disk_storage: Some(-1),
                streams: Some(-1),
                consumer: Some(-1),
                ..JetStreamLimits::default()
            });
        }
        bus.revocations = (!revoked.is_empty()).then(|| revoked.iter().cloned().collect());
        let system_claims = Account::new_claims("system".into(), system.public_key());
        Ok(RealmClaims {
            operator_jwt: operator_claims.encode(&operator).map_err(failed("sign an account"))?,
            account: (
                account.public_key(),
                account_claims.encode(&operator).map_err(failed("sign an account"))?,
            ),
            system: (
                system.public_key(),
                system_claims.encode(&operator).map_err(failed("sign an account"))?,
            ),
        })
    }

    /// The signer for users of the bus.
    ///
    /// # Errors
    /// If a seed is damaged.
    pub fn signer(&self) -> Result<Signer, IdentityError> {
        let account = KeyPair::from_seed(self.account.expose()).map_err(failed("read the account's key"))?;
        Signer::new(&self.signing, account.public_key())
    }

    /// A credential of the system account, for the supervisor alone: it hears what the broker refused and can
    /// push a changed account statement.
    ///
    /// # Errors
    /// If a seed is damaged.
    pub fn system_credential(&self) -> Result<Credential, IdentityError> {
        let system =
            KeyPair::from_seed(self.system.expose()).map_err(failed("read the system account's key"))?;
        let key = OwnKey::generate();
        let claims = User::new_claims("supervisor".into(), key.public());
        let jwt = claims.encode(&system).map_err(failed("sign a credential"))?;
        key.with_jwt(jwt)
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use nats_jwt_rs::Claims;

    use super::*;
    use crate::id::UserId;

    #[test]
    fn a_credential_survives_the_creds_form() {
        let signer = Realm::generate().unwrap().signer().unwrap();
        let credential = signer.issue(&Role::User(UserId::parse("ann").unwrap()), None).unwrap();
        let read = Credential::from_creds(credential.to_creds().expose()).unwrap();
        assert_eq!((read.jwt, read.seed), (credential.jwt, credential.seed));
    }

    #[test]
    fn nothing_is_signed_for_a_key_that_is_not_a_users() {
        let signer = Realm::generate().unwrap().signer().unwrap();
        let account = KeyPair::new_account().public_key();
        assert!(signer.sign(&Role::Tap, &account, None).is_err());
        assert!(signer.sign(&Role::Tap, "UNONSENSE", None).is_err());
    }

    #[test]
    fn an_empty_right_is_a_denial_of_everything() {
        let realm = Realm::generate().unwrap();
        let jwt = realm.signer().unwrap().issue(&Role::Tap, None).unwrap().jwt;
        let claims = Claims::<User>::decode(&jwt).unwrap();
        assert_eq!(claims.nats.permissions.permissions.publish.deny, vec![">".to_owned()]);
    }
}
