//! What is remembered between queries.
//!
//! Answers: what was said before, by whom, and what of it may be shown to whom?
//! Never: lets an app name another's entry; shows the planner what an app said.
//! Carries: I-14, I-17.

pub mod actor;
pub mod key;
pub mod store;
pub mod text;
