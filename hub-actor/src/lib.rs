//! Plans a query, carries the plan out, and permits every flow.
//!
//! Answers: what is in the hub?
//! Never: decides anywhere but in a pure function beside its actor.

pub mod apps;
pub mod plan;
pub mod planner;
pub mod registry;

pub mod choosing;
pub mod executor;
pub mod inquiry;
pub mod isc;
pub mod session;
pub mod spokes;

pub mod grants_store;
pub mod permission;

pub mod instructions;
pub mod memory;

pub mod admin;
pub mod audit;
pub mod dispatch;
pub mod hub;
pub mod mailbox;
pub mod parts;
pub mod process;
pub mod service;
