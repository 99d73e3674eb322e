//! What an app says of itself, as its user vetted it.
//!
//! Answers: which apps are there, what can each do, and what may it use?
//! Never: widens anything that a manifest leaves out; omitted means denied. Fetches nothing.
//! Carries: I-06, I-17.

mod load;
mod raw;

pub mod lock;

mod error;
mod function;
mod network;

mod folder;
mod schema;
mod signature;
mod waiting;

pub mod limits;
pub mod openapi;

pub use error::ManifestError;
pub use folder::hash_of;
pub use function::FunctionSpec;
pub use load::{AppKind, Manifest, RESERVED, load_all};
pub use network::{CredentialKind, CredentialUse, METHODS, Network, OauthServer};
pub use schema::{Schema, SchemaError};
pub use waiting::Waiting;
