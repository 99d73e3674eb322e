//! Plans a query, carries the plan out, and permits every flow.

pub mod plan;
pub mod planner;
pub mod registry;

pub mod grants_store;
pub mod permission;

pub mod memory;
