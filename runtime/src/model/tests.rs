//! The scripts that ship, and the server as a client sees it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::path::{Path, PathBuf};

use super::Script;

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/scripts")
}

#[test]
fn the_scripts_that_ship_hold_their_own_examples() {
    if let Err(error) = Script::load(&scripts()) {
        panic!("{error}");
    }
}
