//! The rules of the house, as tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod tree;

mod sources;

mod documents;
mod edges;
mod invariants;
mod words;
