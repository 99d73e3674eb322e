//! Confinement, with real processes.
//!
//! Every barrier is tried twice with the same act of `hostile-probe`: once outside, where it works, and
//! once inside, where it fails for the reason named. As root all of it is done twice more: as root and
//! as an ordinary user.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod app;
mod doctor;
mod life;
mod policy;
mod readme;
mod report;
mod scene;
mod spoke;
