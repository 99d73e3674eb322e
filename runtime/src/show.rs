//! What a person sees.
//!
//! Answers: how is this shown on a terminal?
//! Never: lets a text that an app wrote move the cursor, change colours, or look like words of ours.

pub mod clean;
pub mod paint;

mod choice;
mod outcome;
mod progress;
mod prompt;
mod wrap;

pub use choice::{choice, choose, chosen};
pub use outcome::{failure, mend, outcome, value_line};
pub use progress::{Progress, Quiet};
pub use prompt::{offers, one_of, prompt, widths};
pub use wrap::{columns, wrap};
