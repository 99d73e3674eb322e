//! How the parts work together, on real brokers and stores.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod llm_gateway;
mod parts;
mod stores;
mod whole;
