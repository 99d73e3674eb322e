//! `secgpt acl`: who may say and hear what.
//!
//! Answers: which rights does each role have?
//! Never: computes anything of its own; the matrix is that of `bus`.
//! Carries: I-01, I-03, I-09.

use super::print;
use crate::cli::Global;
use crate::error::Error;

/// Prints the matrix.
///
/// # Errors
/// Never in practice: if a name of the matrix is not legal.
pub fn run(_global: &Global) -> Result<u8, Error> {
    print(&bus::acl::matrix::Matrix::by_rule()?.render());
    Ok(0)
}
