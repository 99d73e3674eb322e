//! One app, alone: the operator that runs inside a spoke.
//!
//! Answers: how does one confined process do the tasks of one app?
//! Never: opens, connects or starts anything once it is confined; decides what is permitted.
//! Carries: I-10, I-11, I-16.

pub mod describe;
pub mod remote;
pub mod start;

pub mod operator;
pub mod plain;

mod call;
mod converse;
mod delegate;

mod isc;
mod job;
mod model;
mod proxy;
mod schema;
mod web;

mod app;
