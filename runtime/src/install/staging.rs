//! A folder that an app is put together in, until all of it is there.
//!
//! Answers: where is it put together, and how does it come to its place in one step?
//! Never: shows half an app to anybody; leaves what an interrupted run has made.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bus::id::AppId;

use crate::error::Error;
use crate::state::{State, make_private};

/// Holds all that are being put together, beside `apps`, so that a move between the two is one step.
const STAGING: &str = "adding";

/// The folder of installed apps, in the state folder.
pub const APPS: &str = "apps";

/// A folder being filled. Gone when this falls, unless it was [moved](Staging::finish).
#[derive(Debug)]
pub struct Staging {
    apps: PathBuf,
    own: PathBuf,
    app: AppId,
    _lock: File,
}

impl Staging {
    /// Begins one, and removes what interrupted ones have left.
    ///
    /// # Errors
    /// If another is at work on this state folder, or no folder can be made.
    pub fn begin(state: &State, app: &AppId) -> Result<Self, Error> {
        let (all, apps) = (state.folder(STAGING)?, state.folder(APPS)?);
        let cannot = |error: std::io::Error| {
            Error::failed(format!("the folder {} cannot be used", all.display())).because(error)
        };
        let lock = all.join("lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(lock)
            .map_err(cannot)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::failed(
                    "another `secgpt apps` is installing something on this state folder",
                )
                .hint("wait until it is done"));
            }
            Err(TryLockError::Error(error)) => return Err(cannot(error)),
        }
        // Whoever made these had the lock, and has it no more.
        for left in fs::read_dir(&all).map_err(cannot)?.flatten().filter(|entry| entry.path().is_dir()) {
            fs::remove_dir_all(left.path()).map_err(cannot)?;
        }
        let own = all.join(std::process::id().to_string());
        make_private(&own)?;
        let staging = Self { apps, own, app: app.clone(), _lock: lock };
        // Readable for the user that apps run as; the folder around it is not.
        let open = |dir: &Path| DirBuilder::new().mode(0o755).create(dir).map_err(cannot);
        open(&staging.dir())?;
        Ok(staging)
    }

    /// The app's folder while it is filled. It has the app's name.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.own.join(self.app.as_str())
    }

    /// A folder for what does not stay.
    #[must_use]
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.own.join(format!("{name}-of-the-run"))
    }

    /// Writes a file of the app.
    ///
    /// # Errors
    /// If it cannot be written: a full disk.
    pub fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        write(&self.dir(), name, text)
    }

    /// Moves it to its place.
    ///
    /// # Errors
    /// If there is an app of that name now.
    pub fn finish(self) -> Result<PathBuf, Error> {
        let place = self.apps.join(self.app.as_str());
        if place.exists() {
            return Err(Error::failed(format!("there is an app {} already", self.app)));
        }
        fs::rename(self.dir(), &place)
            .map_err(|error| Error::failed(format!("{} cannot be made", place.display())).because(error))?;
        // A crash of the machine may still lose the move, as a whole.
        let _ = File::open(&self.apps).and_then(|dir| dir.sync_all());
        Ok(place)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run.
        let _ = fs::remove_dir_all(&self.own);
    }
}

/// Writes a file of an app, all or nothing, readable for the user that apps run as.
///
/// # Errors
/// If it cannot be written.
pub fn write(dir: &Path, name: &str, text: &str) -> Result<(), Error> {
    use std::io::Write;
    let (path, new) = (dir.join(name), dir.join(format!(".{name}.new")));
    let written = File::create(&new)
        .and_then(|mut file| {
            file.set_permissions(Permissions::from_mode(0o644))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&new, &path));
    written.map_err(|error| {
        // Half a file is of no use to anybody.
        let _ = fs::remove_file(&new);
        Error::failed(format!("{} cannot be written", path.display())).because(error)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn app() -> AppId {
        AppId::parse("clock").unwrap()
    }

    #[test]
    fn what_is_not_finished_leaves_nothing_and_what_is_stands_whole() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state")).unwrap();
        let staging = Staging::begin(&state, &app()).unwrap();
        staging.write("app.toml", "name").unwrap();
        assert!(Staging::begin(&state, &app()).unwrap_err().to_string().contains("is installing something"));
        drop(staging);
        assert_eq!(fs::read_dir(state.path(APPS)).unwrap().count(), 0);
        assert_eq!(fs::read_dir(state.path(STAGING)).unwrap().count(), 1, "the lock alone");

        let staging = Staging::begin(&state, &app()).unwrap();
        staging.write("app.toml", "name").unwrap();
        let place = staging.finish().unwrap();
        assert_eq!(fs::read_to_string(place.join("app.toml")).unwrap(), "name");
        assert_eq!(fs::read_dir(state.path(STAGING)).unwrap().count(), 1, "the lock alone");
        assert!(Staging::begin(&state, &app()).unwrap().finish().is_err());
    }

    #[test]
    fn what_a_killed_run_has_left_is_removed_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state")).unwrap();
        let left = state.folder(STAGING).unwrap().join("1");
        fs::create_dir_all(left.join("clock/node_modules")).unwrap();
        let _staging = Staging::begin(&state, &app()).unwrap();
        assert!(!left.exists());
    }
}
