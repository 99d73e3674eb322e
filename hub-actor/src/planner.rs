//! Asking a model for a plan.
//!
//! Answers: what does the planner get to see, and what did it say?
//! Never: shows it a word that an app wrote, or that came from an app.
//! Carries: I-17.

pub mod actor;
pub mod prompt;
