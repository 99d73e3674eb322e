//! The folders of apps on this machine.
//!
//! Answers: where is an app, is it the one that was vetted, and where does it keep its data?
//! Never: starts an app whose folder differs from the pinned one; shows one user's data to another's spoke.
//! Carries: I-17. The pin covers the app's folder, not a program that its command names outside of it.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bus::id::{AppId, UserId};
use bus::launch::HostConfig;
use bus::message::host::{Spawn, SpawnFailure};
use bus::message::profile::{Kind, Profile};
use jail::app::AppSpec;
use jail::limits::AppLimits;

/// `/tmp` of an app, MiB. It is memory.
const TMP_MB: u64 = 64;

/// Hashes of apps' folders, made anew when a file has changed.
#[derive(Default)]
pub(crate) struct Folders(Mutex<HashMap<PathBuf, Known>>);

struct Known {
    fingerprint: u64,
    hash: String,
    /// Programs outside of the folder that its lock binds, and their state when they were last found to be the ones
    /// that were pinned.
    programs: Vec<PathBuf>,
    checked: Option<u64>,
}

impl Folders {
    /// Every app in the folders of the settings, with its hash. Reads many files the first time.
    pub(crate) fn all(&self, config: &HostConfig) -> Vec<(AppId, String)> {
        let mut apps: Vec<(AppId, String)> = Vec::new();
        for dir in &config.apps {
            let Ok(entries) = std::fs::read_dir(dir) else { continue };
            for entry in entries.flatten() {
                let Some(app) = entry.file_name().to_str().and_then(|name| AppId::parse(name).ok()) else {
                    continue;
                };
                let is_first = !apps.iter().any(|(known, _)| *known == app);
                if is_first && let Some(hash) = self.hash(&entry.path()) {
                    apps.push((app, hash));
                }
            }
        }
        apps.sort();
        apps
    }

    /// The hash of an app's folder; nothing if it is none or cannot be read.
    fn hash(&self, dir: &Path) -> Option<String> {
        if !dir.join("app.toml").is_file() {
            return None;
        }
        let fingerprint = fingerprint(dir)?;
        if let Some(known) = self.0.lock().ok()?.get(dir)
            && known.fingerprint == fingerprint
        {
            return Some(known.hash.clone());
        }
        let hash = manifest::hash_of(dir).ok()?;
        let programs = manifest::lock::programs_of(dir).ok()?;
        let known = Known { fingerprint, hash: hash.clone(), programs, checked: None };
        self.0.lock().ok()?.insert(dir.to_owned(), known);
        Some(hash)
    }

    /// The folder of the app, if it is the pinned one.
    fn pinned(&self, config: &HostConfig, spawn: &Spawn) -> Result<PathBuf, SpawnFailure> {
        let app = &spawn.profile.app;
        let dir = config
            .apps
            .iter()
            .map(|dir| dir.join(app.as_str()))
            .find(|dir| dir.join("app.toml").is_file())
            .ok_or_else(|| not_here(format!("host {} does not have the app {app}", config.host)))?;
        match self.hash(&dir) {
            Some(hash) if hash == spawn.pinned => self.programs(&dir).map(|()| dir),
            Some(_) => Err(SpawnFailure {
                hint: Some(format!("`secgpt apps pin {app}` shows the difference and asks")),
                ..not_here(format!(
                    "the files of {app} on host {} are not those that were vetted",
                    config.host
                ))
            }),
            None => Err(not_here(format!("the files of {app} on host {} cannot be read", config.host))),
        }
    }

    /// Are the programs that the app's lock binds, outside of its folder, the ones that were pinned? `dir` was hashed
    /// before, so that they are known.
    fn programs(&self, dir: &Path) -> Result<(), SpawnFailure> {
        let poisoned = || not_here("the host no longer knows its apps".to_owned());
        let (fingerprint, checked) = {
            let all = self.0.lock().map_err(|_| poisoned())?;
            let Some(known) = all.get(dir) else { return Err(poisoned()) };
            (of_files(&known.programs), known.checked)
        };
        if fingerprint == checked {
            return Ok(());
        }
        manifest::lock::check_programs(dir)
            .map_err(|error| SpawnFailure { hint: error.hint.clone(), ..not_here(error.to_string()) })?;
        if let Some(known) = self.0.lock().map_err(|_| poisoned())?.get_mut(dir) {
            known.checked = fingerprint;
        }
        Ok(())
    }

    /// What the jail is told about the app child; nothing for an app that is no program.
    ///
    /// # Errors
    /// If the app is not here, or not the one that was vetted.
    pub(crate) fn app_spec(
        &self,
        config: &HostConfig,
        spawn: &Spawn,
    ) -> Result<Option<AppSpec>, SpawnFailure> {
        let profile = &spawn.profile;
        if !matches!(profile.kind, Kind::Stdio { .. }) {
            return Ok(None);
        }
        let app_dir = self.pinned(config, spawn)?;
        let app_dir = app_dir
            .canonicalize()
            .map_err(|error| not_here(format!("the folder of {} cannot be read: {error}", profile.app)))?;
        let data_dir = data_dir(config, &spawn.user, &profile.app)?;
        Ok(spec(profile, app_dir, data_dir, &config.env))
    }
}

/// What every app is told. All that it is shown belongs to somebody else in there, and git would refuse to look at a
/// repository for that; what git fears, a repository that has programs run, the jail is there for.
const VARIABLES: [(&str, &str); 5] = [
    ("APP_DIR", "/app"),
    ("APP_DATA", "/data"),
    ("GIT_CONFIG_COUNT", "1"),
    ("GIT_CONFIG_KEY_0", "safe.directory"),
    ("GIT_CONFIG_VALUE_0", "*"),
];

/// What the jail is told of a program in this folder; nothing for an app that is none.
pub(crate) fn spec(
    profile: &Profile,
    app_dir: PathBuf,
    data_dir: PathBuf,
    ours: &BTreeMap<String, String>,
) -> Option<AppSpec> {
    let Kind::Stdio { command, env } = &profile.kind else { return None };
    let mut command = command.clone();
    let mut read: Vec<PathBuf> = profile.read.iter().map(PathBuf::from).collect();
    if let Some(program) = command.first_mut()
        && let Some(ours) = beside_us(program)
    {
        *program = ours.to_string_lossy().into_owned();
        read.push(ours);
    }
    let mut variables: Vec<(String, String)> =
        VARIABLES.map(|(name, value)| (name.into(), value.into())).to_vec();
    let more = ours.iter().chain(env);
    variables.extend(more.map(|(name, value)| (name.clone(), value.clone())));
    Some(AppSpec {
        command,
        app_dir,
        data_dir,
        read,
        env: variables,
        limits: limits(profile),
        proxy: profile.network,
        id: jail::identity::UnprivilegedId::default(),
        control_fd: None,
        door_fd: None,
        parent: None,
    })
}

/// The limits of the manifest, as the jail takes them.
fn limits(profile: &Profile) -> AppLimits {
    let of = &profile.limits;
    AppLimits {
        memory_mb: of.memory_mb,
        cpu_s: of.cpu_s,
        file_mb: of.file_mb,
        processes: of.processes,
        open_files: of.open_files,
        data_mb: of.data_mb,
        tmp_mb: TMP_MB,
        // V8 and Go reserve far more than they use; private memory is limited all the same.
        address_space: false,
    }
}

/// Where the app keeps its data for this user. Both names are of an alphabet without dots and slashes.
fn data_dir(config: &HostConfig, user: &UserId, app: &AppId) -> Result<PathBuf, SpawnFailure> {
    let dir = config.data.join(user.as_str()).join(app.as_str());
    jail::app::own_data_dir(&dir).map_err(|error| SpawnFailure {
        detail: error.line(),
        hint: error.hint().map(str::to_owned),
        elsewhere: true,
    })?;
    dir.canonicalize().map_err(|error| SpawnFailure {
        detail: format!("the data folder {} cannot be used: {error}", dir.display()),
        hint: None,
        elsewhere: true,
    })
}

/// A program that is shipped with this one, and so stands beside it: named without a path.
fn beside_us(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return None;
    }
    let ours = std::env::current_exe().ok()?.parent()?.join(program);
    ours.is_file().then_some(ours)
}

/// Changes when a file does: names, sizes, times and inodes. Cheap, where a hash would read everything.
fn fingerprint(dir: &Path) -> Option<u64> {
    fn add(dir: &Path, hasher: &mut DefaultHasher) -> std::io::Result<()> {
        let mut entries: Vec<_> = std::fs::read_dir(dir)?.collect::<Result<_, _>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let meta = entry.metadata()?;
            entry.file_name().hash(hasher);
            (meta.ino(), meta.size(), meta.mode()).hash(hasher);
            (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()).hash(hasher);
            if meta.is_dir() {
                add(&entry.path(), hasher)?;
            }
        }
        Ok(())
    }
    let mut hasher = DefaultHasher::new();
    add(dir, &mut hasher).ok()?;
    Some(hasher.finish())
}

/// Changes when one of these files does; nothing for no files. One that is missing has a fingerprint too.
fn of_files(files: &[PathBuf]) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.hash(&mut hasher);
        if let Ok(meta) = std::fs::metadata(file) {
            (meta.ino(), meta.size(), meta.mode()).hash(&mut hasher);
            (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()).hash(&mut hasher);
        }
    }
    (!files.is_empty()).then(|| hasher.finish())
}

fn not_here(detail: String) -> SpawnFailure {
    SpawnFailure { detail, hint: None, elsewhere: true }
}
