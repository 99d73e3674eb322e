//! A manifest as it is meant.
//!
//! Answers: which app stands in this folder, checked in every field?
//! Never: guesses. What is missing is denied or an error, with file, line and what to do.
//! Carries: I-06, I-17.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use bus::id::{AppId, FunctionName};
use bus::message::profile::{Function, Kind, Limits, Profile};
use serde_json::Value;
use toml::Spanned;

use crate::error::{ManifestError, line_of};
use crate::folder::{hash_of, read_inside};
use crate::function::FunctionSpec;
use crate::network::{CredentialKind, CredentialUse, Network, host_name};
use crate::openapi;
use crate::raw::{RawCredentialKind, RawFunctionality, RawKind, RawLimits, RawManifest};
use crate::schema::Schema;

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
        /// How each functionality becomes a request; see [`openapi`].
        operations: BTreeMap<FunctionName, Value>,
    },
}

impl Manifest {
    /// Reads `app.toml` and the files that it names. `defaults` are the limits where it says nothing.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn load(dir: &Path, defaults: &Limits) -> Result<Self, ManifestError> {
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
        };
        Profile {
            app: self.app.clone(),
            kind,
            description: self.description.trim().to_owned(),
            functions: self.functions.iter().map(function).collect(),
            limits: self.limits,
            read: self.read.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
            network: !self.network.is_empty(),
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
        let mut credentials = BTreeMap::new();
        for (name, credential) in raw.credentials {
            // An address with its port, as under `local`, for a service on a private network.
            let host = |host: &Spanned<String>| match host.get_ref().parse::<std::net::SocketAddr>() {
                Ok(address) => Ok(address.to_string()),
                Err(_) => self.host(host),
            };
            let hosts = credential.hosts.iter().map(host).collect::<Result<_, _>>()?;
            let kind = match credential.kind {
                RawCredentialKind::Oauth2 => CredentialKind::Oauth2,
                RawCredentialKind::ApiKey => CredentialKind::ApiKey,
            };
            let header = credential.header.get_ref();
            if header.is_empty() || !header.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                return Err(self.wrong(&credential.header, format!("{header:?} is not the name of a header")));
            }
            credentials.insert(name, CredentialUse { kind, header: header.clone(), hosts });
        }
        Ok(Manifest {
            app,
            kind,
            description: raw.description,
            model: raw.model.map(Spanned::into_inner),
            network: self.network(raw.network.as_ref())?,
            read,
            credentials,
            limits: self.limits(raw.limits.as_ref(), defaults)?,
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
            (RawKind::Http, ..) if openapi.is_none() => {
                return Err(self.wrong(&raw.kind, "an app of kind http has an openapi description"));
            }
            (RawKind::Http, ..) => (
                AppKind::Http { operations: BTreeMap::new() },
                misplaced(command.is_some(), "command").or(misplaced(url.is_some(), "url")),
            ),
        };
        wrong.map_or(Ok(kind), |what| Err(self.wrong(&raw.kind, what)))
    }

    /// Each functionality, for `http` with the request that it becomes.
    fn functions(
        &self,
        raw: Vec<RawFunctionality>,
        kind: &RawKind,
        openapi: Option<&Spanned<String>>,
    ) -> Result<Vec<(FunctionSpec, Option<Value>)>, ManifestError> {
        let description = match openapi {
            Some(name) if *kind == RawKind::Http => Some(self.json(name)?),
            _ => None,
        };
        let pinned = match kind {
            RawKind::Mcp if raw.iter().any(|raw| raw.discovered) => Some(self.discovered()?),
            _ => None,
        };
        let (mut names, mut functions) = (BTreeSet::new(), Vec::new());
        for raw in raw {
            let name = FunctionName::parse(raw.name.get_ref())
                .map_err(|error| self.wrong(&raw.name, error.to_string()))?;
            if !names.insert(name.clone()) {
                return Err(self.wrong(&raw.name, format!("there are two functionalities named {name}")));
            }
            let summary = raw.summary.as_ref().map(|summary| self.summary(summary)).transpose()?;
            let found = match (&raw.request, raw.discovered, &description, &pinned) {
                (Some(request), false, ..) => Found {
                    description: None,
                    request: self.schema(request)?,
                    response: raw.response.as_ref().map(|response| self.schema(response)).transpose()?,
                    operation: description
                        .as_ref()
                        .and_then(|api| openapi::operation(api, &name).map(|found| found.operation)),
                },
                (None, true, Some(api), _) => self.from_openapi(&raw.name, api, &name)?,
                (None, true, None, Some(pinned)) => self.from_server(&raw.name, pinned, &name)?,
                (None, true, None, None) => {
                    return Err(self.wrong(&raw.name, "only apps of kind mcp and http can be discovered"));
                }
                (Some(_), true, ..) => {
                    return Err(self.wrong(&raw.name, "either request or discovered = true, not both"));
                }
                (None, false, ..) => {
                    return Err(self
                        .wrong(&raw.name, format!("the functionality {name} has no request schema"))
                        .hint("write request = \"FILE.json\", or discovered = true"));
                }
            };
            if *kind == RawKind::Http && found.operation.is_none() {
                return Err(self.wrong(&raw.name, format!("the openapi description has no operation {name}")));
            }
            if found.request.value().get("type").and_then(Value::as_str) != Some("object") {
                let what = format!("the request schema of {name} must have \"type\": \"object\" at its top");
                return Err(self.wrong(&raw.name, what));
            }
            for destination in &raw.destinations {
                let properties = found.request.value().get("properties");
                if properties.and_then(|all| all.get(destination.get_ref())).is_none() {
                    let what = format!("{name} has no parameter {:?}", destination.get_ref());
                    return Err(self.wrong(destination, what));
                }
            }
            let spec = FunctionSpec {
                name,
                effect: raw.effect,
                summary,
                description: found.description,
                request: found.request,
                response: found.response,
                destinations: raw.destinations.into_iter().map(Spanned::into_inner).collect(),
            };
            functions.push((spec, found.operation));
        }
        Ok(functions)
    }

    fn from_openapi(
        &self,
        at: &Spanned<String>,
        api: &Value,
        name: &FunctionName,
    ) -> Result<Found, ManifestError> {
        let operation = openapi::operation(api, name)
            .ok_or_else(|| self.wrong(at, format!("the openapi description has no operation {name}")))?;
        let compiled = |schema| {
            Schema::parse(schema).map_err(|error| self.wrong(at, format!("the schema of {name}, {error}")))
        };
        Ok(Found {
            description: operation.description,
            request: compiled(operation.request)?,
            response: operation.response.map(compiled).transpose()?,
            operation: Some(operation.operation),
        })
    }

    fn from_server(
        &self,
        at: &Spanned<String>,
        pinned: &Value,
        name: &FunctionName,
    ) -> Result<Found, ManifestError> {
        let tool = pinned.get(name.as_str()).ok_or_else(|| {
            self.wrong(at, format!("the server was not seen to offer {name}")).hint(DISCOVER)
        })?;
        let file = self.dir.join(DISCOVERED);
        let compiled = |schema: &Value| {
            Schema::parse(schema.clone())
                .map_err(|error| ManifestError::new(&file, format!("the schema of {name}, {error}")))
        };
        Ok(Found {
            description: tool.get("description").and_then(Value::as_str).map(str::to_owned),
            request: compiled(tool.get("request").unwrap_or(&Value::Null))?,
            response: tool.get("response").filter(|schema| !schema.is_null()).map(compiled).transpose()?,
            operation: None,
        })
    }

    fn discovered(&self) -> Result<Value, ManifestError> {
        let file = self.dir.join(DISCOVERED);
        let text = read_inside(self.dir, DISCOVERED)
            .map_err(|what| ManifestError::new(&file, what).hint(DISCOVER))?;
        serde_json::from_str(&text).map_err(|error| {
            ManifestError::new(&file, format!("is not JSON: {error}")).on(Some(error.line()))
        })
    }

    fn summary(&self, summary: &Spanned<String>) -> Result<String, ManifestError> {
        let text = summary.get_ref().trim();
        let plain =
            !text.is_empty() && text.chars().count() <= MAX_SUMMARY && !text.chars().any(char::is_control);
        if plain {
            return Ok(text.to_owned());
        }
        Err(self.wrong(summary, format!("a summary is one line of at most {MAX_SUMMARY} characters")))
    }

    fn json(&self, name: &Spanned<String>) -> Result<Value, ManifestError> {
        let file = name.get_ref();
        if file.contains("://") {
            return Err(self
                .wrong(name, format!("{file} is not in the app's folder"))
                .hint("`secgpt apps pin` fetches it and writes the file's name here"));
        }
        let text = read_inside(self.dir, file).map_err(|what| self.wrong(name, what))?;
        serde_json::from_str(&text).map_err(|error| {
            ManifestError::new(&self.dir.join(file), format!("is not JSON: {error}")).on(Some(error.line()))
        })
    }

    fn schema(&self, name: &Spanned<String>) -> Result<Schema, ManifestError> {
        Schema::parse(self.json(name)?).map_err(|error| {
            ManifestError::new(&self.dir.join(name.get_ref()), format!("is not a JSON Schema {error}"))
        })
    }

    fn network(&self, raw: Option<&crate::raw::RawNetwork>) -> Result<Network, ManifestError> {
        let Some(raw) = raw else { return Ok(Network::default()) };
        let local = |address: &Spanned<String>| {
            address.get_ref().parse().map_err(|_| {
                self.wrong(
                    address,
                    format!("{:?} is not an address with a port, like 127.0.0.1:9000", address.get_ref()),
                )
            })
        };
        Ok(Network {
            domains: raw.domains.iter().map(|domain| self.host(domain)).collect::<Result<_, _>>()?,
            hosts: raw.hosts.iter().map(|host| self.host_and_port(host)).collect::<Result<_, _>>()?,
            local: raw.local.iter().map(local).collect::<Result<_, _>>()?,
        })
    }

    /// A host, with a port if another than the usual ones is meant.
    fn host_and_port(&self, host: &Spanned<String>) -> Result<String, ManifestError> {
        let text = host.get_ref();
        let port = |port: &str| port.parse::<u16>().ok().filter(|&port| 0 < port);
        match text.rsplit_once(':').and_then(|(name, number)| Some((host_name(name)?, port(number)?))) {
            Some((name, port)) => Ok(format!("{name}:{port}")),
            None => self.host(host),
        }
    }

    fn host(&self, host: &Spanned<String>) -> Result<String, ManifestError> {
        host_name(host.get_ref()).ok_or_else(|| {
            self.wrong(
                host,
                format!("{:?} is not the name of a host, without wildcard and port", host.get_ref()),
            )
        })
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

/// What was found out about a functionality.
struct Found {
    description: Option<String>,
    request: Schema,
    response: Option<Schema>,
    operation: Option<Value>,
}

/// What an MCP server said of itself when it was added: `{"<name>": {"description", "request", "response"}}`. Kept in
/// the folder, so that it is part of the pin: a server that says something else later is noticed.
const DISCOVERED: &str = "discovered.json";
const DISCOVER: &str = "`secgpt apps pin` asks the server and writes discovered.json";

/// A line of the planner's list.
const MAX_SUMMARY: usize = 120;

#[cfg(test)]
mod tests;
