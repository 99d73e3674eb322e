//! From file, environment and flags to settings.
//!
//! Answers: what is in force, and if something is wrong, where does it stand and what is allowed there?
//! Never: goes on with a key that it does not know.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bus::id::AppId;
use bus::message::profile::Limits;
use figment::error::Kind;
use figment::providers::{Env, Format, Serialized, Toml};
use figment::value::magic::RelativePathBuf;
use figment::{Figment, Source};

use super::raw::{RawConfig, RawSandbox, keys};
use super::{
    AppsConfig, BusConfig, Config, EgressSettings, MemoryConfig, ModelSettings, PRESETS, PermissionConfig,
    Provider,
};
use crate::environment;
use crate::error::Error;

/// Where settings come from, besides the environment.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file to read; none to look in the usual places.
    pub file: Option<PathBuf>,
    /// `section.key` and value, as given with `--set`.
    pub set: Vec<(String, String)>,
}

/// Reads and checks the settings.
///
/// # Errors
/// Says which key in which file is wrong, and what is allowed.
pub fn load(sources: &Sources) -> Result<Config, Error> {
    let file = find_file(sources.file.clone())?;
    let mut figment = Figment::new();
    if let Some(file) = &file {
        figment = figment.merge(Toml::file_exact(file));
    }
    figment = figment.merge(
        Env::prefixed(environment::PREFIX)
            .ignore(&environment::NOT_SETTINGS.map(|name| name.trim_start_matches(environment::PREFIX)))
            // The first underscore parts section and key; keys have underscores of their own.
            .map(|name| name.as_str().replacen('_', ".", 1).into())
            .lowercase(true),
    );
    for (key, value) in &sources.set {
        if !keys().contains(&key.as_str()) {
            return Err(Error::usage(format!("--set {key}: there is no such setting")).hint(nearest(key)));
        }
        let value: figment::value::Value = value.parse().unwrap_or_else(|never| match never {});
        figment = figment.merge(Serialized::default(key, value));
    }
    let raw: RawConfig = figment.extract().map_err(|error| explain(&error))?;
    check(raw, file)
}

fn find_file(named: Option<PathBuf>) -> Result<Option<PathBuf>, Error> {
    if let Some(file) = named.or_else(|| environment::path(environment::CONFIG)) {
        return match file.metadata() {
            Ok(found) if found.is_file() => Ok(Some(file)),
            Ok(_) => Err(Error::usage(format!("{} is not a file", file.display()))),
            Err(error) => {
                Err(Error::usage(format!("the settings cannot be read from {}", file.display()))
                    .because(error))
            }
        };
    }
    let own = environment::config_home().map(|home| home.join("secgpt").join(FILE_NAME));
    Ok([Some(PathBuf::from(FILE_NAME)), own].into_iter().flatten().find(|file| file.is_file()))
}

const FILE_NAME: &str = "secgpt.toml";

/// One sentence with place, key, and what is allowed.
fn explain(error: &figment::Error) -> Error {
    let place = |error: &figment::Error| match error.metadata.as_ref() {
        Some(metadata) => match &metadata.source {
            Some(Source::File(path)) => path.display().to_string(),
            _ if metadata.name.contains("environment") => "the environment".to_owned(),
            _ => "the command line".to_owned(),
        },
        None => "the settings".to_owned(),
    };
    let from = place(error);
    let path = error.path.join(".");
    match &error.kind {
        Kind::UnknownField(name, allowed) => {
            // The path ends with the unknown name, or with the section that holds it.
            let key = if path.ends_with(name.as_str()) { path } else { [&*path, name].join(".") };
            let key = key.trim_start_matches('.');
            let shown = if from == "the environment" {
                format!("{}{}", environment::PREFIX, key.replace('.', "_").to_uppercase())
            } else {
                key.to_owned()
            };
            let allowed = if allowed.is_empty() {
                String::new()
            } else {
                format!("; allowed here: {}", allowed.join(", "))
            };
            Error::usage(format!("{from}: there is no setting `{shown}`"))
                .hint(format!("{}{allowed}", nearest(key)))
        }
        kind => {
            let at = if path.is_empty() { String::new() } else { format!("`{path}`: ") };
            Error::usage(format!("{from}: {at}{kind}")).hint("`secgpt --help` shows all settings".to_owned())
        }
    }
}

/// The setting that was probably meant.
fn nearest(key: &str) -> String {
    let sections = keys().into_iter().filter_map(|key| Some(key.split_once('.')?.0));
    let all = if key.contains('.') { keys() } else { sections.collect() };
    all.into_iter()
        .map(|known| (strsim::damerau_levenshtein(key, known), known))
        .min()
        .filter(|(distance, _)| *distance < 4)
        .map_or_else(
            || "`secgpt --help` shows all settings".to_owned(),
            |(_, known)| format!("did you mean `{known}`?"),
        )
}

fn check(raw: RawConfig, file: Option<PathBuf>) -> Result<Config, Error> {
    let data_dir = find_data(raw.data.dir.map(|dir| dir.relative()))?;
    let state_dir = match raw.state.dir {
        Some(dir) => absolute(dir)?,
        None => environment::state_home()
            .ok_or_else(|| {
                Error::usage("there is no place to keep the state: HOME is not set")
                    .hint("name one with SECGPT_STATE_DIR or `[state] dir`")
            })?
            .join("secgpt"),
    };
    let mut dirs = match raw.apps.dirs {
        Some(dirs) => dirs.into_iter().map(existing("apps.dirs")).collect::<Result<_, _>>()?,
        None => vec![data_dir.join("apps")],
    };
    // Those that were added are found wherever the others are.
    let added = state_dir.join(crate::install::staging::APPS);
    dirs.retain(|dir: &PathBuf| *dir != added);
    dirs.push(added);
    let apps = AppsConfig {
        dirs,
        enabled: raw
            .apps
            .enabled
            .map(|names| names.iter().map(|name| AppId::parse(name)).collect::<Result<_, _>>())
            .transpose()
            .map_err(|error| Error::usage(format!("apps.enabled: {error}")))?,
    };
    let preset = raw.permission.preset.unwrap_or_else(|| "balanced".to_owned());
    if !PRESETS.contains(&preset.as_str()) {
        return Err(Error::usage(format!("permission.preset: there is no preset {preset:?}"))
            .hint(format!("presets are {}", PRESETS.join(", "))));
    }
    let named = raw.permission.policies.unwrap_or_default().into_iter();
    let mut policies: Vec<PathBuf> = named.map(existing("permission.policies")).collect::<Result<_, _>>()?;
    // What was accepted counts without being named.
    let accepted = state_dir.join("policies").join("accepted.cedar");
    if accepted.is_file() && !policies.contains(&accepted) {
        policies.push(accepted.clone());
    }
    Ok(Config {
        bus: check_bus(raw.bus)?,
        model: ModelSettings {
            provider: raw.model.provider.unwrap_or(Provider::Auto),
            base_url: raw.model.base_url,
            model: raw.model.model,
            api_key_env: raw.model.api_key_env.unwrap_or_else(|| "OPENAI_API_KEY".to_owned()),
            embeddings_model: raw.model.embeddings_model,
            timeout: raw.model.timeout.map_or(Duration::from_secs(120), |span| span.0),
        },
        memory: MemoryConfig {
            url: raw.memory.url,
            ttl: raw.memory.ttl.map_or(Duration::from_secs(30 * 24 * 60 * 60), |span| span.0),
            summary_token_limit: raw.memory.summary_token_limit.unwrap_or(300),
            server: raw.memory.server.map(existing("memory.server")).transpose()?,
        },
        apps,
        egress: EgressSettings {
            suffix_list: raw.egress.suffix_list.map(existing("egress.suffix_list")).transpose()?,
            tls_ca: raw.egress.tls_ca.map(existing("egress.tls_ca")).transpose()?,
            key_file: raw.egress.key_file.map(existing("egress.key_file")).transpose()?,
        },
        permission: PermissionConfig {
            preset,
            policies,
            accepted,
            prompt_timeout: raw.permission.prompt_timeout.map_or(Duration::from_secs(120), |span| span.0),
        },
        limits: limits(&raw.sandbox)?,
        // A live idle spoke takes under 1 MB; an app child of an ordinary kind some ten. 256 fit a small machine.
        capacity: raw.sandbox.capacity.unwrap_or(256),
        state_dir,
        data_dir,
        file,
    })
}

fn check_bus(raw: super::raw::RawBus) -> Result<BusConfig, Error> {
    let listen = raw
        .listen
        .map(|text| {
            text.parse::<SocketAddr>().map_err(|_| {
                Error::usage(format!("bus.listen: {text:?} is not an address and a port"))
                    .hint("such as \"127.0.0.1:4222\" or, with tls_cert and tls_key, \"0.0.0.0:4222\"")
            })
        })
        .transpose()?;
    let tls = match (raw.tls_cert, raw.tls_key) {
        (Some(cert), Some(key)) => Some((existing("bus.tls_cert")(cert)?, existing("bus.tls_key")(key)?)),
        (None, None) => None,
        _ => return Err(Error::usage("bus.tls_cert and bus.tls_key belong together; only one is given")),
    };
    if raw.url.is_some() && (listen.is_some() || tls.is_some()) {
        return Err(Error::usage(
            "bus.url names a broker that runs already, so bus.listen and bus.tls_* have no meaning",
        ));
    }
    if raw.url.is_none() && raw.credentials.is_some() {
        return Err(Error::usage("bus.credentials are for the broker of bus.url, which is not given"));
    }
    Ok(BusConfig {
        url: raw.url,
        credentials: raw.credentials.map(existing("bus.credentials")).transpose()?,
        tls_ca: raw.tls_ca.map(existing("bus.tls_ca")).transpose()?,
        listen,
        tls,
        server: raw.server.map(existing("bus.server")).transpose()?,
    })
}

/// What an app may use where its manifest is silent. An ordinary interpreter and its libraries fit; a build does not.
fn limits(raw: &RawSandbox) -> Result<Limits, Error> {
    let limits = Limits {
        memory_mb: raw.memory_mb.unwrap_or(512),
        cpu_s: raw.cpu_s.unwrap_or(60),
        file_mb: raw.file_mb.unwrap_or(64),
        data_mb: raw.data_mb.unwrap_or(256),
        processes: raw.processes.unwrap_or(64),
        open_files: raw.open_files.unwrap_or(256),
        task_s: raw.task_s.unwrap_or(bus::limits::TASK.as_secs()),
        model_calls: raw.model_calls.unwrap_or(24),
        tokens: raw.tokens.unwrap_or(400_000),
        requests: raw.requests.unwrap_or(100),
    };
    let zero = [
        ("memory_mb", limits.memory_mb),
        ("cpu_s", limits.cpu_s),
        ("file_mb", limits.file_mb),
        ("data_mb", limits.data_mb),
        ("processes", limits.processes),
        ("open_files", limits.open_files),
        ("task_s", limits.task_s),
        ("model_calls", u64::from(limits.model_calls)),
        ("tokens", limits.tokens),
        ("capacity", raw.capacity.map_or(1, u64::from)),
    ]
    .into_iter()
    .find(|(_, value)| *value == 0);
    match zero {
        Some((key, _)) => Err(Error::usage(format!("sandbox.{key} is 0, which would let nothing run")).hint(
            "no number means \"no limit\": leave the key out for the default, or give the limit you want",
        )),
        None => Ok(limits),
    }
}

fn absolute(path: RelativePathBuf) -> Result<PathBuf, Error> {
    std::path::absolute(path.relative())
        .map_err(|error| Error::failed("the current folder cannot be found").because(error))
}

fn existing(key: &'static str) -> impl Fn(RelativePathBuf) -> Result<PathBuf, Error> {
    move |path| {
        let path = absolute(path)?;
        if path.exists() {
            Ok(path)
        } else {
            Err(Error::usage(format!("{key}: {} does not exist", path.display())))
        }
    }
}

/// The folder with apps, prompts and scripts: as configured, beside the executable, or in the current folder.
fn find_data(named: Option<PathBuf>) -> Result<PathBuf, Error> {
    let is_data = |dir: &Path| dir.join("prompts").is_dir();
    if let Some(dir) = named {
        return match std::path::absolute(&dir) {
            Ok(dir) if is_data(&dir) => Ok(dir),
            _ => Err(Error::usage(format!("data.dir: {} is not a data folder", dir.display()))
                .hint("a data folder holds `apps`, `prompts` and `scripts`")),
        };
    }
    let program = std::env::current_exe().and_then(|program| program.canonicalize()).ok();
    // Installed: <prefix>/bin/secgpt with <prefix>/share/secgpt. Built: <repository>/target/<profile>[/deps]/secgpt.
    let beside = program.iter().flat_map(|program| {
        let folder = program.parent().map(Path::to_owned).unwrap_or_default();
        [folder.join("../share/secgpt"), folder.join("../../data"), folder.join("../../../data")]
    });
    let here = std::env::current_dir().ok().map(|dir| dir.join("data"));
    beside.chain(here).find(|dir| is_data(dir)).map(|dir| dir.canonicalize().unwrap_or(dir)).ok_or_else(
        || {
            Error::usage("the data folder with apps, prompts and scripts was not found")
                .hint("run this in the repository, or name the folder with SECGPT_DATA_DIR or `[data] dir`")
        },
    )
}

#[cfg(test)]
mod tests;
