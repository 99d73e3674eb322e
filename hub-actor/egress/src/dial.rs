//! From a permitted host to the addresses that may be connected to.
//!
//! Answers: which addresses does this name have, and may the app be connected to every one of them?
//! Never: hands out an address that was not checked; looks the same name up twice for one connection.
//! Carries: I-13. The second look at a name is where its owner could answer with another address, so there is none.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bus::message::egress::{WebError, WebFailure};
use futures_util::future::BoxFuture;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::address::special;
use crate::allowed_host::Rules;
use crate::limit::{ADDRESSES, Limits};
use crate::url_rule::{Permitted, Target};

/// Looks a name up: the machine's own resolver, or a test's.
pub type Resolve = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// The machine's own resolver.
#[must_use]
pub fn system_resolver() -> Resolve {
    Arc::new(|name| {
        Box::pin(async move {
            // With the dot, no search list of this machine is tried: `example.com` is not `example.com.corp.example`.
            let found = tokio::net::lookup_host((format!("{name}."), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// Addresses that were checked for one host and port. Made by [`check`] only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Checked(Vec<SocketAddr>);

/// Looks the host up, and takes the answer only if the app may be connected to every address in it.
///
/// # Errors
/// If the name has no address, or one that is neither public nor named by the manifest.
pub async fn check(
    resolve: &Resolve,
    rules: &Rules,
    permitted: &Permitted,
    limits: &Limits,
) -> Result<Checked, WebFailure> {
    let mut addresses: Vec<SocketAddr> = match &permitted.host {
        // `permits` lets only those through that the manifest names, but nothing is taken on trust here.
        Target::Address(address) => vec![SocketAddr::new(*address, permitted.port)],
        Target::Name(name) => {
            let no_name =
                |why: &str| WebFailure::new(WebError::Name, format!("{name} has no address: {why}"));
            let found = match timeout(limits.name, resolve(name.clone())).await {
                Err(_) => return Err(no_name("the name service did not answer in time")),
                Ok(Err(error)) => {
                    tracing::debug!(%error, host = name, "not resolved");
                    return Err(no_name("the name service knows none"));
                }
                Ok(Ok(found)) => found,
            };
            found.into_iter().map(|address| SocketAddr::new(address, permitted.port)).collect()
        }
    };
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() || ADDRESSES < addresses.len() {
        let detail = format!("{} has {} addresses", permitted.host, addresses.len());
        return Err(WebFailure::new(WebError::Name, detail));
    }
    // One bad address condemns the answer: whoever mixes a private address with public ones wants the former used.
    for &address in &addresses {
        if let Some(what) = special(address.ip())
            && !rules.names_address(address)
        {
            tracing::warn!(host = %permitted.host, %address, what, "refused an address that is not public");
            let detail = format!(
                "an address of {} is not a public one ({what}), and the app's manifest does not name it \
                 (under [network], local)",
                permitted.host
            );
            return Err(WebFailure::new(WebError::Address, detail));
        }
    }
    Ok(Checked(addresses))
}

impl Checked {
    /// The addresses, each with the port.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.0
    }

    /// Connects to one of them.
    ///
    /// # Errors
    /// If none takes the connection in time.
    pub async fn connect(&self, limits: &Limits) -> Result<TcpStream, WebFailure> {
        let refused = |detail: String| WebFailure::new(WebError::Connect, detail);
        match timeout(limits.connect, TcpStream::connect(self.0.as_slice())).await {
            Err(_) => Err(refused("no connection in time".into())),
            Ok(Err(error)) => Err(refused(format!("no connection: {}", error.kind()))),
            Ok(Ok(stream)) => {
                // Small packets of a handshake or a question must not wait for more.
                let _ = stream.set_nodelay(true);
                Ok(stream)
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::allowed_host::Suffixes;
    use crate::limit::STANDARD;
    use crate::url_rule::{permits, read};

    fn answers(addresses: &[&str]) -> Resolve {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Arc::new(move |_| {
            let addresses = addresses.clone();
            Box::pin(async move { Ok(addresses) })
        })
    }

    async fn dialed(addresses: &[&str]) -> Result<Vec<String>, WebError> {
        let rules = Rules::new(
            &Suffixes::shipped().unwrap(),
            &["example.com".into()],
            &[],
            &["10.0.0.5:443".parse().unwrap()],
        )
        .unwrap();
        let permitted = permits(&rules, "GET", &read("https://example.com/").unwrap()).unwrap();
        let checked = check(&answers(addresses), &rules, &permitted, &STANDARD).await;
        checked
            .map(|checked| checked.addresses().iter().map(ToString::to_string).collect())
            .map_err(|failure| failure.code)
    }

    #[tokio::test]
    async fn a_public_address_is_dialed_and_a_private_one_is_not() {
        assert_eq!(dialed(&["93.184.215.14"]).await.unwrap(), ["93.184.215.14:443"]);
        for address in
            ["127.0.0.1", "169.254.169.254", "10.0.0.6", "::1", "::ffff:127.0.0.1", "fd00::1", "0.0.0.0"]
        {
            assert_eq!(dialed(&[address]).await, Err(WebError::Address), "{address}");
        }
    }

    #[tokio::test]
    async fn one_private_address_condemns_the_answer() {
        assert_eq!(dialed(&["93.184.215.14", "127.0.0.1"]).await, Err(WebError::Address));
        assert_eq!(dialed(&["2606:4700::1", "fe80::1"]).await, Err(WebError::Address));
    }

    #[tokio::test]
    async fn an_address_that_the_manifest_names_is_dialed_under_a_name_too() {
        assert_eq!(dialed(&["10.0.0.5"]).await.unwrap(), ["10.0.0.5:443"]);
    }

    #[tokio::test]
    async fn a_name_without_addresses_or_with_hundreds_is_refused() {
        assert_eq!(dialed(&[]).await, Err(WebError::Name));
        let many: Vec<String> = (0..=ADDRESSES).map(|n| format!("93.184.215.{n}")).collect();
        assert_eq!(dialed(&many.iter().map(String::as_str).collect::<Vec<_>>()).await, Err(WebError::Name));
    }
}
