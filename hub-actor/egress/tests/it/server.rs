//! Servers for the tests, and what the gateway is told of them.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use egress_gateway::allowed_host::{Rules, Suffixes};
use egress_gateway::dial::Resolve;
// Not every test program that has this file needs all of them.
#[allow(unused_imports)]
pub use system_tests::web_server::{Act, Authority, Seen, Server, answer, ok, redirect};

/// A name service that knows these names.
pub fn names(known: &[(&str, IpAddr)]) -> Resolve {
    let known: Vec<(String, IpAddr)> =
        known.iter().map(|(name, address)| ((*name).to_owned(), *address)).collect();
    Arc::new(move |name| {
        let found: Vec<IpAddr> =
            known.iter().filter(|(own, _)| *own == name).map(|(_, address)| *address).collect();
        Box::pin(async move {
            match found.is_empty() {
                true => Err(std::io::Error::other("no such name")),
                false => Ok(found),
            }
        }) as Pin<Box<dyn Future<Output = _> + Send>>
    })
}

/// Rules that name these hosts with ports, and these addresses.
pub fn rules(hosts: &[String], local: &[SocketAddr]) -> Rules {
    static SUFFIXES: std::sync::LazyLock<Suffixes> =
        std::sync::LazyLock::new(|| Suffixes::shipped().unwrap());
    Rules::new(&SUFFIXES, &["example.com".into()], hosts, local).unwrap()
}
