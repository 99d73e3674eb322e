//! A package of the npm registry.
//!
//! Answers: which files does it bring, and which of its programs is the server?
//! Never: runs a script of a package (`--ignore-scripts`), or fetches one from a repository, whose preparation is a script too.
//! Carries: I-17.

use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::program::{Program, interpreter};
use super::source::Package;
use super::staging;
use super::tool::{self, Ran};
use crate::error::Error;

/// How long the installation may take.
const LIMIT: Duration = Duration::from_secs(600);

/// Without scripts, without programs of repositories, and without words about itself.
const OPTIONS: [&str; 11] = [
    "install",
    "--ignore-scripts",
    // A dependency on a repository would be prepared by its own scripts; there is no program to fetch one with.
    "--git=/nonexistent/git",
    "--no-bin-links",
    "--no-audit",
    "--no-fund",
    "--no-update-notifier",
    "--omit=dev",
    "--install-strategy=hoisted",
    "--loglevel=error",
    "--prefix=.",
];

/// Installs it into the app's folder. `entry` names one of its programs, `args` are the server's own.
///
/// # Errors
/// Says what is missing: `node`, `npm`, the package, or a program in it.
pub async fn install(
    dir: &Path,
    package: &Package,
    entry: Option<&str>,
    args: &[String],
) -> Result<Program, Error> {
    let missing = |name: &str| {
        Error::failed(format!("{name} is not on PATH"))
            .hint("packages of npm need node and npm (Debian, Ubuntu: apt install nodejs npm)")
    };
    let node = tool::on_path("node").ok_or_else(|| missing("node"))?;
    let npm = tool::on_path("npm").ok_or_else(|| missing("npm"))?;
    // The folder is a project of its own, so that npm looks for none above it.
    staging::write(dir, "package.json", "{\"private\": true}\n")?;
    let wanted = match &package.version {
        Some(version) => format!("{}@{version}", package.name),
        None => package.name.clone(),
    };
    let mut words: Vec<OsString> = OPTIONS.map(OsString::from).to_vec();
    words.extend(["--".into(), (&wanted).into()]);
    let ran = tool::run(&npm, &words, dir, LIMIT).await?;
    if !ran.well {
        return Err(why(&ran, &wanted));
    }
    let own = Path::new("node_modules").join(&package.name);
    let about = fs::read_to_string(dir.join(&own).join("package.json")).map_err(|error| {
        Error::failed(format!("{} brought no description of itself", package.name)).because(error)
    })?;
    let about: Value = serde_json::from_str(&about).map_err(|error| {
        Error::failed(format!("the description of {} is not JSON", package.name)).because(error)
    })?;
    let file = own.join(program(&about, &package.name, entry)?);
    if !dir.join(&file).is_file() {
        return Err(Error::failed(format!(
            "{} names a program that it did not bring: {}",
            package.name,
            file.display()
        )));
    }
    let real = node.canonicalize().unwrap_or(node);
    let home = real.parent().and_then(Path::parent).unwrap_or(Path::new("/")).to_owned();
    let (node, read) = interpreter("node", &real, &home);
    let mut command = vec![node, file.to_string_lossy().into_owned()];
    command.extend(args.iter().cloned());
    let version = about.get("version").and_then(Value::as_str).unwrap_or_default();
    Ok(Program { command, read, from: format!("npm {}@{version}", package.name) })
}

fn why(ran: &Ran, wanted: &str) -> Error {
    let said = ran.all();
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let error = if has(&["E404", "404 Not Found"]) {
        Error::failed(format!("the registry has no package {wanted}"))
    } else if has(&["ETARGET", "No matching version"]) {
        Error::failed(format!("the registry has no such version: {wanted}"))
    } else if has(&["/nonexistent/git"]) {
        Error::failed(format!(
            "{wanted} needs something from a repository, whose preparation would run outside of the jail"
        ))
    } else if has(&["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "network"]) {
        Error::failed(format!("{wanted} cannot be fetched: the registry is not reached"))
    } else if has(&["ENOSPC"]) {
        Error::failed(format!("{wanted} cannot be installed: the disk is full"))
    } else {
        Error::failed(format!("{wanted} cannot be installed"))
    };
    error.hint(format!("npm says: {}", ran.last_lines(3)))
}

/// The program's file within its package.
fn program(about: &Value, package: &str, entry: Option<&str>) -> Result<PathBuf, Error> {
    let bare = package.rsplit('/').next().unwrap_or(package);
    let programs: Vec<(&str, &str)> = match about.get("bin") {
        Some(Value::String(file)) => vec![(bare, file.as_str())],
        Some(Value::Object(all)) => {
            all.iter().filter_map(|(name, file)| Some((name.as_str(), file.as_str()?))).collect()
        }
        _ => Vec::new(),
    };
    let names = programs.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let named = |wanted: &str| programs.iter().find(|(name, _)| *name == wanted);
    let (_, file) = match (entry, programs.as_slice()) {
        (Some(wanted), _) => named(wanted).ok_or_else(|| {
            Error::usage(format!("{package} has no program {wanted}")).hint(format!("it has {names}"))
        })?,
        (None, [only]) => only,
        (None, []) => {
            return Err(Error::failed(format!(
                "{package} has no program to start (no `bin` in its package.json), so it is no server"
            ))
            .hint("packages that are servers say in their own description how they are started"));
        }
        (None, _) => named(bare).ok_or_else(|| {
            Error::usage(format!("{package} has several programs: {names}"))
                .hint("name the server with --entry NAME")
        })?,
    };
    let plain: PathBuf =
        Path::new(file).components().filter(|part| !matches!(part, Component::CurDir)).collect();
    if plain.as_os_str().is_empty() || !plain.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(Error::failed(format!("{package} names a program outside of itself: {file:?}")));
    }
    Ok(plain)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_server_is_the_only_program_or_the_one_of_the_packages_name_or_the_one_that_was_named() {
        let check = |about: Value, entry: Option<&str>, file: &str| {
            assert_eq!(program(&about, "@scope/clock", entry).unwrap(), Path::new(file));
        };
        check(json!({"bin": "./dist/index.js"}), None, "dist/index.js");
        check(json!({"bin": {"mcp-clock": "a.js"}}), None, "a.js");
        check(json!({"bin": {"clock": "a.js", "b": "b.js"}}), None, "a.js");
        check(json!({"bin": {"clock": "a.js", "b": "b.js"}}), Some("b"), "b.js");
        let several = program(&json!({"bin": {"a": "a.js", "b": "b.js"}}), "@scope/clock", None).unwrap_err();
        assert_eq!(several.to_string(), "@scope/clock has several programs: a, b");
    }

    #[test]
    fn a_package_without_a_program_or_with_one_outside_of_itself_is_refused() {
        assert!(program(&json!({}), "clock", None).unwrap_err().to_string().contains("no `bin`"));
        for file in ["../../evil.js", "/etc/passwd", "", "."] {
            assert!(program(&json!({"bin": file}), "clock", None).is_err(), "{file:?}");
        }
    }
}
