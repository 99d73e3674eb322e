//! A package of the Python Package Index.
//!
//! Answers: which files does it bring, and which of its programs is the server?
//! Never: builds anything: a package that comes as source only is refused, as its build would run its code outside the
//! jail.
//! Carries: I-17.
//!
//! Three things hold this: only wheels are taken (`--only-binary :all:`), they are unpacked into a folder of their own
//! (`--target`), and `pip` runs under an audit hook that lets it start no other program. Every build of Python, and every
//! checkout of a repository, is a program of its own.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::program::{Program, interpreter};
use super::source::Package;
use super::staging;
use super::tool::{self, Ran};
use crate::error::Error;

/// How long the installation may take.
const LIMIT: Duration = Duration::from_secs(600);
/// How long an interpreter may take to say where it is.
const ASKED: Duration = Duration::from_secs(30);

/// Where its files go, within the app's folder.
const LIB: &str = "lib";

/// Says where the interpreter is, and whether it has `pip`.
const WHERE: &str = "import importlib.util, json, os, sys; print(json.dumps({'real': os.path.realpath(sys.executable), \
     'home': os.path.realpath(sys.base_prefix), 'pip': importlib.util.find_spec('pip') is not None}))";

/// Runs `pip`, and refuses to let it start another program.
const GUARDED: &str = "\
import runpy, sys
def guard(event, args):
    if event in ('subprocess.Popen', 'os.exec', 'os.fork', 'os.forkpty', 'os.posix_spawn', 'os.spawn', 'os.system'):
        raise PermissionError('an installer may start no other program (%s)' % (args[0] if args else event))
sys.addaudithook(guard)
sys.argv[0] = 'pip'
runpy.run_module('pip', run_name='__main__', alter_sys=True)
";

#[derive(Deserialize)]
struct Where {
    real: PathBuf,
    home: PathBuf,
    pip: bool,
}

/// Installs it into the app's folder. `entry` names one of its programs, `args` are the server's own.
///
/// # Errors
/// Says what is missing: the interpreter, `pip`, the package, a wheel, or a program in it.
pub async fn install(
    dir: &Path,
    package: &Package,
    entry: Option<&str>,
    args: &[String],
) -> Result<Program, Error> {
    let python = tool::on_path("python3").ok_or_else(|| {
        Error::failed("python3 is not on PATH")
            .hint("packages of PyPI need it and pip (Debian, Ubuntu: apt install python3 python3-pip)")
    })?;
    let asked = tool::run(&python, &["-c".into(), WHERE.into()], dir, ASKED).await?;
    let place: Where = serde_json::from_str(asked.out.trim())
        .map_err(|_| Error::failed(format!("{} does not run", python.display())).hint(asked.last_lines(3)))?;
    if !place.pip {
        return Err(Error::failed(format!("{} has no pip", python.display())).hint(
            "install it (Debian, Ubuntu: apt install python3-pip), or put a Python that has it first on PATH",
        ));
    }
    let wanted = match &package.version {
        Some(version) => format!("{}=={version}", package.name),
        None => package.name.clone(),
    };
    let mut words: Vec<OsString> = vec!["-c".into(), GUARDED.into()];
    words.extend(
        ["install", "--only-binary", ":all:", "--target", LIB, "--no-input", "--disable-pip-version-check"]
            .map(OsString::from),
    );
    words.extend(["--no-warn-script-location", "--progress-bar", "off", "--"].map(OsString::from));
    words.push((&wanted).into());
    let ran = tool::run(&python, &words, dir, LIMIT).await?;
    if !ran.well {
        return Err(why(&ran, &wanted));
    }
    let bare = package.name.split('[').next().unwrap_or_default();
    let found = Found::read(&dir.join(LIB), bare)?;
    staging::write(dir, RUN, &found.starter(bare, entry)?)?;
    let (python, read) = interpreter("python3", &place.real, &place.home);
    let mut command = vec![python, "-I".to_owned(), "-S".to_owned(), RUN.to_owned()];
    command.extend(args.iter().cloned());
    Ok(Program { command, read, from: format!("pypi {bare}=={}", found.version) })
}

/// The file that starts the server.
const RUN: &str = "run.py";

fn why(ran: &Ran, wanted: &str) -> Error {
    let said = ran.all();
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let error = if has(&["may start no other program"]) {
        Error::failed(format!(
            "{wanted}, or something that it needs, comes as source only, and its build would run outside of the jail"
        ))
    } else if has(&[
        "connection broken",
        "Max retries exceeded",
        "ConnectTimeout",
        "NewConnectionError",
        "Name or service",
    ]) {
        Error::failed(format!("{wanted} cannot be fetched: the package index is not reached"))
    } else if has(&["No matching distribution", "Could not find a version"]) {
        Error::failed(format!(
            "the package index has no {wanted} that can be installed without running its own build"
        ))
    } else if has(&["No space left"]) {
        Error::failed(format!("{wanted} cannot be installed: the disk is full"))
    } else {
        Error::failed(format!("{wanted} cannot be installed"))
    };
    error.hint(format!("pip says: {}", ran.last_lines(3)))
}

/// What is known of a package that was unpacked.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    version: String,
    /// Name, module, and what in it to call.
    scripts: Vec<(String, String, String)>,
    /// A module that can be run as a program.
    module: Option<String>,
}

impl Found {
    fn read(lib: &Path, name: &str) -> Result<Self, Error> {
        let failed =
            |error: std::io::Error| Error::failed(format!("{} cannot be read", lib.display())).because(error);
        for entry in fs::read_dir(lib).map_err(failed)?.flatten() {
            let info = entry.path();
            if info.extension().is_none_or(|ending| ending != "dist-info") {
                continue;
            }
            let Ok(metadata) = fs::read_to_string(info.join("METADATA")) else { continue };
            let field = |field: &str| {
                metadata.lines().take_while(|line| !line.is_empty()).find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case(field).then(|| value.trim().to_owned())
                })
            };
            if field("Name").is_some_and(|own| normal(&own) == normal(name)) {
                let points = fs::read_to_string(info.join("entry_points.txt")).unwrap_or_default();
                let module = normal(name).replace('-', "_");
                let runs = lib.join(&module).join("__main__.py").is_file();
                return Ok(Self {
                    version: field("Version").unwrap_or_default(),
                    scripts: scripts(&points),
                    module: runs.then_some(module),
                });
            }
        }
        Err(Error::failed(format!("{name} brought no description of itself, so its programs are not known")))
    }

    /// The text of the file that starts it: nothing is on its path but the standard library and the folder's own.
    fn starter(&self, package: &str, entry: Option<&str>) -> Result<String, Error> {
        let names: Vec<&str> = self.scripts.iter().map(|(name, ..)| name.as_str()).collect();
        let by_name = |wanted: &str| self.scripts.iter().find(|(name, ..)| normal(name) == normal(wanted));
        let chosen = match (entry, self.scripts.as_slice()) {
            (Some(wanted), _) => Some(by_name(wanted).ok_or_else(|| {
                Error::usage(format!("{package} has no program {wanted}"))
                    .hint(format!("it has {}", listed(&names)))
            })?),
            (None, [only]) => Some(only),
            (None, []) => None,
            (None, _) => Some(by_name(package).ok_or_else(|| {
                Error::usage(format!("{package} has several programs: {}", listed(&names)))
                    .hint("name the server with --entry NAME")
            })?),
        };
        let head = format!(
            "# Written when the app was added. Starts {package} with nothing but what lies in this folder.\n\
             import os, site, sys\n\
             site.addsitedir(os.path.join(os.path.dirname(os.path.abspath(__file__)), \"{LIB}\"))\n"
        );
        match (chosen, &self.module) {
            (Some((name, module, call)), _) => {
                let root = call.split('.').next().unwrap_or_default();
                Ok(format!("{head}sys.argv[0] = {name:?}\nfrom {module} import {root}\nsys.exit({call}())\n"))
            }
            (None, Some(module)) => Ok(format!(
                "{head}import runpy\nrunpy.run_module({module:?}, run_name=\"__main__\", alter_sys=True)\n"
            )),
            (None, None) => Err(Error::failed(format!(
                "{package} has no program to start (no entry point, no __main__), so it is no server"
            ))
            .hint("packages that are servers say in their own description how they are started")),
        }
    }
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Names are the same up to case and the sign between words.
fn normal(name: &str) -> String {
    let mut normal = String::new();
    for c in name.chars() {
        let c = if matches!(c, '.' | '_' | '-') { '-' } else { c.to_ascii_lowercase() };
        if c != '-' || !normal.ends_with('-') {
            normal.push(c);
        }
    }
    normal
}

/// `name = module:call [extras]` lines below `[console_scripts]`; what is not of that form is left out.
fn scripts(text: &str) -> Vec<(String, String, String)> {
    let (mut scripts, mut inside) = (Vec::new(), false);
    let dotted = |text: &str| {
        !text.is_empty()
            && text.split('.').all(|part| {
                part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                    && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            })
    };
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[console_scripts]";
        } else if inside
            && let Some((name, point)) = line.split_once('=')
            && let Some((module, call)) = point.split('[').next().unwrap_or_default().split_once(':')
            && dotted(module.trim())
            && dotted(call.trim())
        {
            scripts.push((name.trim().to_owned(), module.trim().to_owned(), call.trim().to_owned()));
        }
    }
    scripts
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn found(points: &str, module: Option<&str>) -> Found {
        Found { version: "1".into(), scripts: scripts(points), module: module.map(str::to_owned) }
    }

    #[test]
    fn the_server_is_the_only_program_or_the_one_of_the_packages_name_or_the_one_that_was_named() {
        let one = found("[console_scripts]\nserve = a.b:main\n", None);
        assert!(one.starter("clock", None).unwrap().ends_with("from a.b import main\nsys.exit(main())\n"));
        let two =
            "[console_scripts]\nclock_server = a:Main.run [x]\nother = b:c\n[gui_scripts]\nthird = d:e\n";
        let two = found(two, None);
        assert!(
            two.starter("clock-server", None)
                .unwrap()
                .ends_with("from a import Main\nsys.exit(Main.run())\n")
        );
        assert!(two.starter("clock-server", Some("other")).unwrap().contains("from b import c"));
        let error = two.starter("clock", None).unwrap_err();
        assert_eq!(error.to_string(), "clock has several programs: clock_server, other");
        assert!(two.starter("clock", Some("third")).is_err());
    }

    #[test]
    fn a_package_without_a_program_is_no_server() {
        assert!(found("", None).starter("clock", None).unwrap_err().to_string().contains("no entry point"));
        assert!(found("", Some("clock")).starter("clock", None).unwrap().contains("run_module(\"clock\""));
    }

    #[test]
    fn an_entry_point_that_is_more_than_names_is_left_out() {
        let evil = "[console_scripts]\na = b:c()\nb = x; import os:y\nc = d.e:f\n";
        assert_eq!(scripts(evil), [("c".into(), "d.e".into(), "f".into())]);
    }
}
