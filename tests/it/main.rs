//! How the parts work together, on real brokers and stores.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod apps_add;
mod credentials;
mod faults;
mod llm_gateway;
mod ordinary_user;
mod parts;
mod policy;
mod ready;
mod reference;
mod stores;
mod strangers;
mod two_hosts;
mod web_apps;
mod whole;
