//! What runs, what is asked about and what is forbidden, as rules in Cedar.
//!
//! Answers: what does the policy in force say of a flow, by which rule, and why?
//! Never: permits by omission; knows grants, people, clocks or the bus; takes a rule in that the schema does not allow.
//! Carries: I-06, I-07.

mod facts;

mod fault;
mod file;
mod rule;

mod compile;
mod given;
mod index;
mod request;

mod preset;
mod ruling;

mod change;
mod told;

pub use change::Change;
pub use compile::{MAX_FILE, MAX_RULES, Policy};
pub use facts::{Caller, Facts, PLANNER, Receiver, Receivers};
pub use fault::{Fault, Faults, VOCABULARY};
pub use preset::{NoSuchPreset, PRESETS, Preset, SCHEMA};
pub use rule::{Kind, PLACEHOLDERS, Rule};
pub use ruling::{Ruling, Said};
pub use told::category_of;
