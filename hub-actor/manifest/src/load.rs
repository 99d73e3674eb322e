//! A manifest as it is meant.
//!
//! Answers: which app stands in this folder, checked in every field?
//! Never: guesses. What is missing is denied or an error, with file, line and what to do.
//! Carries: I-06, I-17.

mod api;
mod functions;
mod web;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bus::id::{AppId, FunctionName};
use bus::message::operation::Operation;
use bus::message::profile::{Function, Kind, Limits, Profile, Wishes};
use toml::Spanned;

use crate::error::{ManifestError, line_of};
use crate::folder::{hash_of, read_inside};
use crate::function::FunctionSpec;
use crate::lock;
use crate::network::{CredentialUse, Network};
use crate::raw::{RawKind, RawLimits, RawManifest, RawMcp};

/// Names that mean something else where an app's name could stand.
pub const RESERVED: [&str; 6] = ["empty", "memory", "plan", "user", "any", "hub"];

/// An installed app.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Its name; also the name of its folder.
    pub app: AppId,
    /// How it is run.
    pub kind: AppKind,
    /// For people and for the app's own model; never for the planner.
    pub description: String,
    /// Its own model, if it wants another than the usual one.
    pub model: Option<String>,
    /// Where it may go.
    pub network: Network,
    /// More paths that it may read. Absolute, in normal form.
    pub read: Vec<PathBuf>,
    /// Which credentials are added for it on the way out, by name.
    pub credentials: BTreeMap<String, CredentialUse>,
    /// What it may use.
    pub limits: Limits,
    /// What it may ask for while it works, if it is an MCP server.
    pub wishes: Wishes,
    /// What it can do, in the order of the manifest.
    pub functions: Vec<FunctionSpec>,
    /// Its folder.
    pub dir: PathBuf,
    /// The pin: see [`hash_of`].
    pub hash: String,
}

/// How an app is run.
#[derive(Clone, Debug, PartialEq)]
pub enum AppKind {
    /// Instructions for its own model.
    Prompt,
    /// An MCP server, started in the app's own folder.
    Stdio {
        /// Program and arguments.
        command: Vec<String>,
    },
    /// An MCP server on the web.
    Remote {
        /// Where.
        url: String,
    },
    /// A web API.
    Http {
        /// How each functionality becomes a request; see [`crate::openapi`].
        operations: BTreeMap<FunctionName, Operation>,
    },
}

impl Manifest {
    /// Reads `app.toml` and the files that it names. `defaults` are the limits where it says nothing.
    ///
    /// # Errors
    /// The first thing that is wrong; or that the app is not as it was pinned.
    pub fn load(dir: &Path, defaults: &Limits) -> Result<Self, ManifestError> {
        let manifest = Self::as_it_stands(dir, defaults)?;
        lock::check(dir, &manifest.hash)?;
        Ok(manifest)
    }

    /// As [`Manifest::load`], whether or not it is as it was pinned: for showing it, and for pinning it anew.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn as_it_stands(dir: &Path, defaults: &Limits) -> Result<Self, ManifestError> {
        let file = dir.join("app.toml");
        let text = read_inside(dir, "app.toml").map_err(|what| ManifestError::new(&file, what))?;
        let raw: RawManifest = toml::from_str(&text).map_err(|error| {
            let line = error.span().map(|span| line_of(&text, span.start));
            let error = ManifestError::new(&file, error.message().trim().to_owned()).on(line);
            if error.what.contains("missing field `effect`") {
                return error.hint("write effect = \"read\", \"write\" or \"irreversible\"");
            }
            error
        })?;
        Reader { dir, file: &file, text: &text }.manifest(raw, defaults)
    }

    /// The functionality of this name.
    #[must_use]
    pub fn function(&self, name: &FunctionName) -> Option<&FunctionSpec> {
        self.functions.iter().find(|function| function.name == *name)
    }

    /// What a spoke of this app is told.
    #[must_use]
    pub fn profile(&self) -> Profile {
        let kind = match &self.kind {
            AppKind::Prompt => Kind::Prompt,
            AppKind::Stdio { command } => Kind::Stdio { command: command.clone(), env: BTreeMap::new() },
            AppKind::Remote { url } => Kind::Remote { url: url.clone() },
            AppKind::Http { operations } => Kind::Http { operations: operations.clone() },
        };
        let function = |spec: &FunctionSpec| Function {
            name: spec.name.clone(),
            description: spec.description.clone().or_else(|| spec.summary.clone()).unwrap_or_default(),
            request: spec.request.value().clone(),
            response: spec.response.as_ref().map(|schema| schema.value().clone()),
            pinned: spec.pinned.clone(),
            method: spec.method,
        };
        Profile {
            app: self.app.clone(),
            kind,
            description: self.description.trim().to_owned(),
            functions: self.functions.iter().map(function).collect(),
            limits: self.limits,
            read: self.read.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
            network: !self.network.is_empty(),
            wishes: self.wishes,
        }
    }
}

/// All apps in these folders' folders, by name; or those of `enabled`. What is wrong with one is told and does not
/// keep the others back. A folder without `app.toml` is no app.
#[must_use]
pub fn load_all(
    dirs: &[PathBuf],
    enabled: Option<&[AppId]>,
    defaults: &Limits,
) -> (Vec<Manifest>, Vec<ManifestError>) {
    let (mut found, mut errors) = (BTreeMap::<AppId, Manifest>::new(), Vec::new());
    for dir in dirs {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) => {
                errors.push(
                    ManifestError::new(dir, format!("cannot be read: {error}"))
                        .hint("see `dirs` under [apps] in the configuration"),
                );
                continue;
            }
        };
        let mut folders: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        folders.sort();
        for folder in folders.into_iter().filter(|folder| folder.join("app.toml").exists()) {
            let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if enabled.is_some_and(|enabled| !enabled.iter().any(|app| app.as_str() == name)) {
                continue;
            }
            match Manifest::load(&folder, defaults) {
                Ok(manifest) => match found.get(&manifest.app) {
                    Some(first) => errors.push(ManifestError::new(
                        &folder.join("app.toml"),
                        format!("the app {} is already in {}", manifest.app, first.dir.display()),
                    )),
                    None => _ = found.insert(manifest.app.clone(), manifest),
                },
                Err(error) => errors.push(error),
            }
        }
    }
    for app in enabled.unwrap_or_default() {
        let told =
            errors.iter().any(|error| error.file.parent().is_some_and(|dir| dir.ends_with(app.as_str())));
        if !found.contains_key(app) && !told {
            let dir = dirs.first().cloned().unwrap_or_default();
            errors.push(
                ManifestError::new(&dir, format!("there is no app {app}"))
                    .hint("see `enabled` under [apps] in the configuration"),
            );
        }
    }
    (found.into_values().collect(), errors)
}

/// One manifest being read.
struct Reader<'a> {
    dir: &'a Path,
    file: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn manifest(&self, raw: RawManifest, defaults: &Limits) -> Result<Manifest, ManifestError> {
        let app =
            AppId::parse(raw.name.get_ref()).map_err(|error| self.wrong(&raw.name, error.to_string()))?;
        if RESERVED.contains(&app.as_str()) {
            return Err(self.wrong(&raw.name, format!("the name {app} is reserved")));
        }
        if !self.dir.canonicalize().is_ok_and(|dir| dir.ends_with(app.as_str())) {
            let what = format!("the app is named {app}, and its folder is not");
            return Err(self.wrong(&raw.name, what).hint("give the folder the name of the app"));
        }
        let kind = self.kind(&raw)?;
        let functions = self.functions(raw.functionalities, raw.kind.get_ref(), raw.openapi.as_ref())?;
        let kind = match (kind, &functions) {
            (AppKind::Http { .. }, functions) => AppKind::Http {
                operations: functions
                    .iter()
                    .filter_map(|(f, o)| Some((f.name.clone(), o.clone()?)))
                    .collect(),
            },
            (kind, _) => kind,
        };
        let mut read = Vec::new();
        for path in raw.filesystem.iter().flat_map(|filesystem| &filesystem.read) {
            read.push(self.readable(path)?);
        }
        let credentials = self.credentials(raw.credentials)?;
        let network = self.network(raw.network.as_ref(), &kind)?;
        Ok(Manifest {
            app,
            kind,
            description: raw.description,
            model: raw.model.map(Spanned::into_inner),
            network,
            read,
            credentials,
            limits: self.limits(raw.limits.as_ref(), defaults)?,
            wishes: self.wishes(raw.mcp.as_ref(), raw.kind.get_ref())?,
            functions: functions.into_iter().map(|(function, _)| function).collect(),
            dir: self.dir.to_owned(),
            hash: hash_of(self.dir)?,
        })
    }

    fn kind(&self, raw: &RawManifest) -> Result<AppKind, ManifestError> {
        let misplaced = |given: bool, key: &str| given.then(|| format!("{key} is not for apps of this kind"));
        let (command, url, openapi) = (raw.command.as_ref(), raw.url.as_ref(), raw.openapi.as_ref());
        let (kind, wrong) = match (raw.kind.get_ref(), command, url) {
            (RawKind::Prompt, ..) => (
                AppKind::Prompt,
                misplaced(command.is_some(), "command")
                    .or(misplaced(url.is_some(), "url"))
                    .or(misplaced(openapi.is_some(), "openapi")),
            ),
            (RawKind::Mcp, Some(command), None) => {
                let words = command.get_ref();
                let empty = words.is_empty()
                    || words.iter().any(|word| word.contains('\0'))
                    || words.first().is_some_and(String::is_empty);
                if empty {
                    return Err(self.wrong(command, "command is a program and its arguments"));
                }
                (AppKind::Stdio { command: words.clone() }, misplaced(openapi.is_some(), "openapi"))
            }
            (RawKind::Mcp, None, Some(url)) => {
                if !url.get_ref().starts_with("https://") && !url.get_ref().starts_with("http://") {
                    return Err(self.wrong(url, "url begins with https:// or http://"));
                }
                (AppKind::Remote { url: url.get_ref().clone() }, misplaced(openapi.is_some(), "openapi"))
            }
            (RawKind::Mcp, ..) => {
                return Err(self.wrong(&raw.kind, "an app of kind mcp has either a command or a url"));
            }
            (RawKind::Http, ..)
                if openapi.is_none()
                    && (raw.functionalities.is_empty()
                        || raw.functionalities.iter().any(|one| one.recipe.is_none())) =>
            {
                return Err(self
                    .wrong(&raw.kind, "an app of kind http has an openapi description")
                    .hint("or a recipe for each of its functionalities"));
            }
            (RawKind::Http, ..) => (
                AppKind::Http { operations: BTreeMap::new() },
                misplaced(command.is_some(), "command").or(misplaced(url.is_some(), "url")),
            ),
        };
        wrong.map_or(Ok(kind), |what| Err(self.wrong(&raw.kind, what)))
    }

    fn wishes(&self, raw: Option<&Spanned<RawMcp>>, kind: &RawKind) -> Result<Wishes, ManifestError> {
        match raw {
            Some(mcp) if *kind != RawKind::Mcp => Err(self.wrong(mcp, "[mcp] is for apps of kind mcp")),
            Some(mcp) => {
                let RawMcp { sampling, elicitation } = *mcp.get_ref();
                Ok(Wishes { sampling, elicitation })
            }
            None => Ok(Wishes::default()),
        }
    }

    fn readable(&self, path: &Spanned<String>) -> Result<PathBuf, ManifestError> {
        use std::path::Component::{Normal, RootDir};
        let (text, parsed) = (path.get_ref(), PathBuf::from(path.get_ref()));
        let mut parts = parsed.components();
        let plain = parts.next() == Some(RootDir)
            && parsed.components().count() > 1
            && parts.all(|part| matches!(part, Normal(_)));
        let kernel = ["/proc", "/sys", "/dev", "/run"].iter().any(|root| parsed.starts_with(root));
        if !plain || kernel {
            return Err(self.wrong(path, format!("{text:?} cannot be read by an app: an absolute path, without .., and not of /proc, /sys, /dev or /run")));
        }
        // Components leave out doubled slashes and dots, so this is the normal form.
        Ok(parsed.components().collect())
    }

    fn limits(&self, raw: Option<&Spanned<RawLimits>>, defaults: &Limits) -> Result<Limits, ManifestError> {
        let Some(spanned) = raw else { return Ok(*defaults) };
        let raw = spanned.get_ref();
        let numbers = [
            raw.memory_mb,
            raw.cpu_s,
            raw.file_mb,
            raw.data_mb,
            raw.processes,
            raw.open_files,
            raw.task_s,
            raw.tokens,
        ];
        if numbers.contains(&Some(0)) || raw.model_calls == Some(0) || raw.requests == Some(0) {
            return Err(self.wrong(spanned, "a limit is at least 1"));
        }
        Ok(Limits {
            memory_mb: raw.memory_mb.unwrap_or(defaults.memory_mb),
            cpu_s: raw.cpu_s.unwrap_or(defaults.cpu_s),
            file_mb: raw.file_mb.unwrap_or(defaults.file_mb),
            data_mb: raw.data_mb.unwrap_or(defaults.data_mb),
            processes: raw.processes.unwrap_or(defaults.processes),
            open_files: raw.open_files.unwrap_or(defaults.open_files),
            task_s: raw.task_s.unwrap_or(defaults.task_s),
            model_calls: raw.model_calls.unwrap_or(defaults.model_calls),
            tokens: raw.tokens.unwrap_or(defaults.tokens),
            requests: raw.requests.unwrap_or(defaults.requests),
        })
    }

    fn wrong<T>(&self, at: &Spanned<T>, what: impl Into<String>) -> ManifestError {
        ManifestError::new(self.file, what).on(Some(line_of(self.text, at.span().start)))
    }
}

#[cfg(test)]
mod tests;
