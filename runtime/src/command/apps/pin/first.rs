//! A server that was added before it said what it offers.
//!
//! Answers: which functionalities are proposed, now that it has said?
//! Never: leaves them in the manifest if the person does not agree.
//! Carries: I-06, I-17.

use std::path::PathBuf;

use bus::message::offer::Offer;
use manifest::lock::DISCOVERED;
use manifest::{AppKind, Manifest};

use super::super::add;
use super::super::show::of_manifest;
use crate::config::Config;
use crate::error::Error;
use crate::install::propose;

/// What was proposed. Gone again when this falls, unless it was [kept](First::keep).
pub(super) struct First {
    dir: PathBuf,
    before: String,
    kept: bool,
}

/// Has it never said what it offers?
pub(super) fn is_due(manifest: &Manifest) -> bool {
    matches!(manifest.kind, AppKind::Remote { .. })
        && manifest.functions.is_empty()
        && !manifest.dir.join(DISCOVERED).is_file()
}

/// Adds what it offers to its manifest, as a proposal. The manifest as it then stands comes back with it.
///
/// # Errors
/// If it offers nothing that can be called, or the files cannot be written.
pub(super) fn propose(
    config: &Config,
    manifest: &Manifest,
    offer: &Offer,
) -> Result<(First, Manifest), Error> {
    let dir = &manifest.dir;
    let proposal = add::callable(&manifest.app, offer)?;
    let file = dir.join("app.toml");
    let before = std::fs::read_to_string(&file)
        .map_err(|error| Error::failed(format!("{} cannot be read", file.display())).because(error))?;
    let text = format!("{}\n{}", before.trim_end(), propose::entries(&proposal));
    let first = First { dir: dir.clone(), before, kept: false };
    add::rewrite(dir, DISCOVERED, &add::discovered(offer)?)?;
    add::rewrite(dir, "app.toml", &text)?;
    let manifest = Manifest::as_it_stands(dir, &config.limits).map_err(of_manifest)?;
    Ok((first, manifest))
}

impl First {
    /// The person has agreed.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for First {
    fn drop(&mut self) {
        if !self.kept {
            // If it cannot be taken back, the app has changed since it was pinned, and is not used.
            let _ = add::rewrite(&self.dir, "app.toml", &self.before);
            let _ = std::fs::remove_file(self.dir.join(DISCOVERED));
        }
    }
}
