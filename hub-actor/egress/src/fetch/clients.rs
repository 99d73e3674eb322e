//! Connections that are kept for the next request.
//!
//! Answers: is there a connection of this app to this host, at exactly these addresses?
//! Never: lends one app another's connection, or one to an address that this request's check did not return.
//! Carries: I-13. A kept client knows its host's addresses and no name service.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bus::id::AppId;
use bus::message::egress::{WebError, WebFailure};
use reqwest::dns::{Addrs, Name, Resolving};

use crate::dial::Checked;
use crate::limit::{KEPT_CLIENTS, KEPT_CONNECTION, Limits};
use crate::url_rule::{Permitted, Scheme, Target};

pub(super) struct Clients {
    tls: rustls::ClientConfig,
    limits: Limits,
    kept: Mutex<HashMap<Key, (reqwest::Client, Instant)>>,
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    app: AppId,
    scheme: Scheme,
    host: Target,
    port: u16,
    addresses: Vec<SocketAddr>,
}

impl Clients {
    pub(super) fn new(tls: rustls::ClientConfig, limits: Limits) -> Self {
        Self { tls, limits, kept: Mutex::default() }
    }

    /// A client that can reach these addresses only.
    pub(super) fn to(
        &self,
        app: &AppId,
        permitted: &Permitted,
        checked: &Checked,
    ) -> Result<reqwest::Client, WebFailure> {
        let key = Key {
            app: app.clone(),
            scheme: permitted.scheme,
            host: permitted.host.clone(),
            port: permitted.port,
            addresses: checked.addresses().to_vec(),
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((client, used)) = kept.get_mut(&key) {
            *used = Instant::now();
            return Ok(client.clone());
        }
        if KEPT_CLIENTS <= kept.len() {
            kept.retain(|_, (_, used)| used.elapsed() < KEPT_CONNECTION);
        }
        if KEPT_CLIENTS <= kept.len() {
            kept.clear();
        }
        let client = self.make(permitted, checked).map_err(|error| {
            tracing::error!(%error, "no client");
            WebFailure::new(WebError::Tls, "the gateway's TLS settings cannot be used")
        })?;
        kept.insert(key, (client.clone(), Instant::now()));
        Ok(client)
    }

    fn make(&self, permitted: &Permitted, checked: &Checked) -> reqwest::Result<reqwest::Client> {
        let mut tls = self.tls.clone();
        // Of its own: a ticket shared between apps would tell the server that one person uses both.
        tls.resumption = rustls::client::Resumption::in_memory_sessions(4);
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .https_only(permitted.scheme == Scheme::Https)
            .tcp_nodelay(true)
            .connect_timeout(self.limits.connect)
            .pool_idle_timeout(KEPT_CONNECTION)
            .pool_max_idle_per_host(8)
            .dns_resolver(NoNames);
        if let Target::Name(name) = &permitted.host {
            builder = builder.resolve_to_addrs(name, checked.addresses());
        }
        builder.build()
    }
}

/// Knows no name: what is not given beforehand is not resolved.
#[derive(Clone)]
struct NoNames;

impl reqwest::dns::Resolve for NoNames {
    fn resolve(&self, name: Name) -> Resolving {
        let error = std::io::Error::other(format!("{} was not checked", name.as_str()));
        Box::pin(async move { Err::<Addrs, Box<dyn std::error::Error + Send + Sync>>(error.into()) })
    }
}

/// Trust in the machine's authorities (the shipped ones, if the machine has none) and in one more, if configured.
///
/// # Errors
/// If the file holds no certificate.
pub fn trust(more: Option<&std::path::Path>) -> Result<rustls::ClientConfig, TrustError> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    let mut roots = rustls::RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "an authority of this machine cannot be read");
    }
    roots.add_parsable_certificates(native.certs);
    if roots.is_empty() {
        tracing::warn!("this machine has no certificate authorities; the shipped ones are used");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Some(path) = more {
        let fault = |what: String| TrustError { path: path.to_owned(), what };
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| fault(error.to_string()))?;
        let before = roots.len();
        for certificate in certificates {
            let certificate = certificate.map_err(|error| fault(error.to_string()))?;
            roots.add(certificate).map_err(|error| fault(error.to_string()))?;
        }
        if roots.len() == before {
            return Err(fault("it holds no certificate".into()));
        }
    }
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| TrustError { path: "TLS".into(), what: error.to_string() })?
            .with_root_certificates(roots)
            .with_no_client_auth();
    Ok(config)
}

/// A certificate authority that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {what}")]
pub struct TrustError {
    path: std::path::PathBuf,
    what: String,
}
