//! Servers of strangers, from the registries.
//!
//! Answers: where is this package, installed once for all tests?
//! Never: runs what a package brings while it is installed; takes another version than the one named here; passes over
//! a registry that cannot be reached.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::bundle::workspace;
use crate::mcp_pipes::Pipes;
use crate::scratch::Scratch;

/// A package and the command that runs its server in a folder where it is installed.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    /// The name under which it is an app in tests.
    pub app: &'static str,
    from: From,
    what: &'static str,
    command: &'static [&'static str],
}

#[derive(Clone, Copy, Debug)]
enum From {
    PyPi,
    Npm,
}

/// The clock.
pub const TIME: Package = Package {
    app: "time",
    from: From::PyPi,
    what: "mcp-server-time==2026.10.19",
    command: &["-m", "mcp_server_time", "--local-timezone=UTC"],
};

/// Repositories.
pub const GIT: Package = Package {
    app: "git",
    from: From::PyPi,
    what: "mcp-server-git==2026.10.19",
    command: &["-m", "mcp_server_git"],
};

/// The one that has every feature of the protocol.
pub const EVERYTHING: Package = Package {
    app: "everything",
    from: From::Npm,
    what: "@modelcontextprotocol/server-everything@2026.8.31",
    command: &["node_modules/@modelcontextprotocol/server-everything/dist/index.js", "stdio"],
};

/// The protocol's own library, for a test that writes a server with it.
pub const LIBRARY: Package = Package { app: "library", from: From::PyPi, what: "mcp==2.3.0", command: &[] };

/// Files, of every folder that there is.
pub const FILESYSTEM: Package = Package {
    app: "filesystem",
    from: From::Npm,
    what: "@modelcontextprotocol/server-filesystem@2026.8.31",
    command: &["node_modules/@modelcontextprotocol/server-filesystem/dist/index.js", "/"],
};

/// The system's own interpreter: an app sees no other.
static PYTHON: &str = "/usr/bin/python3";

static NODE: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("node")).find(|node| node.is_file());
    let node = found.expect("node is needed for servers that are written for it");
    node.canonicalize().expect("node")
});

impl Package {
    /// The same package as an app of another name.
    #[must_use]
    pub fn named(self, app: &'static str) -> Self {
        Self { app, ..self }
    }

    /// The folder where it is installed, fetched if it is not there yet. Tests at the same time wait for each other.
    ///
    /// # Panics
    /// If the registry cannot be reached, or has it no more.
    #[must_use]
    pub fn installed(&self) -> PathBuf {
        let name: String =
            self.what.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let home = workspace().join("target/strangers");
        std::fs::create_dir_all(&home).expect("target/strangers");
        let lock = File::create(home.join(format!("{name}.lock"))).expect("a lock");
        lock.lock().expect("a lock");
        let folder = home.join(&name);
        if !folder.join("complete").is_file() {
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).expect("a folder");
            self.fetch(&folder);
            std::fs::write(folder.join("complete"), self.what).expect("a file");
        }
        folder
    }

    fn fetch(&self, folder: &Path) {
        let mut command = match self.from {
            From::PyPi => {
                let version = Command::new(PYTHON)
                    .args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
                    .output()
                    .unwrap_or_else(|error| {
                        panic!("{PYTHON} is needed for servers that are written for it: {error}")
                    });
                let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
                let mut pip = Command::new("python3");
                pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]);
                // Wheels only: nothing of the package is run. For the interpreter of the jail, whoever's pip it is.
                pip.args(["--only-binary=:all:", "--no-compile", "--python-version", &version, "--target"]);
                pip.arg(folder.join("lib")).arg(self.what);
                pip
            }
            From::Npm => {
                let mut npm = Command::new("npm");
                npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
                npm.arg(self.what);
                npm
            }
        };
        command.current_dir(folder);
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{} cannot be had from its registry: {said}", self.what);
    }

    /// Its command, for a folder that is its working directory. `first` stands right behind the interpreter.
    #[must_use]
    pub fn command(&self, first: &[&str]) -> Vec<String> {
        let lib = |folder: &str| format!("PYTHONPATH={folder}");
        let interpreter: Vec<String> = match self.from {
            From::PyPi => {
                ["/usr/bin/env", &lib("lib"), "PYTHONDONTWRITEBYTECODE=1", PYTHON].map(str::to_owned).into()
            }
            From::Npm => vec![NODE.display().to_string()],
        };
        let words = first.iter().chain(self.command).map(|word| (*word).to_owned());
        interpreter.into_iter().chain(words).collect()
    }

    /// The folder that the interpreter is installed in, if the jail does not show it anyway.
    fn read(&self) -> Option<PathBuf> {
        let node =
            matches!(self.from, From::Npm).then(|| NODE.parent()?.parent().map(Path::to_owned)).flatten()?;
        (!node.starts_with("/usr")).then_some(node)
    }

    /// An app of it, pinned as its server speaks of itself at this time. `head` are more lines of the manifest's
    /// head and tables; `more` its functionalities that are no tools.
    ///
    /// # Panics
    /// If it cannot be written, or its server does not answer.
    pub fn app(&self, apps: &Scratch, head: &str, more: &str, declares: &Value) -> PathBuf {
        self.app_with(apps, &self.command(&[]), head, more, declares)
    }

    /// The same, by another command.
    ///
    /// # Panics
    /// As [`Package::app`].
    pub fn app_with(
        &self,
        apps: &Scratch,
        command: &[String],
        head: &str,
        more: &str,
        declares: &Value,
    ) -> PathBuf {
        let folder = self.place(apps);
        self.describe(&folder, command, head, more, declares);
        folder
    }

    /// A copy of it, without a manifest.
    ///
    /// # Panics
    /// If it cannot be copied.
    #[must_use]
    pub fn place(&self, apps: &Scratch) -> PathBuf {
        let folder = apps.join(self.app);
        let copied = Command::new("cp").arg("-a").arg(self.installed()).arg(&folder).status();
        assert!(copied.is_ok_and(|status| status.success()), "{} is not copied", self.app);
        folder
    }

    /// Asks the server in this folder what it offers, and writes its manifest.
    ///
    /// # Panics
    /// If it cannot be written, or its server does not answer.
    pub fn describe(&self, folder: &Path, command: &[String], head: &str, more: &str, declares: &Value) {
        let tools = Pipes::start(command, folder, declares).tools();
        let mut manifest = format!(
            "name = {:?}\nkind = \"mcp\"\ndescription = \"A server from a registry.\"\ncommand = {}\n{head}\n",
            self.app,
            json!(command)
        );
        if let Some(read) = self.read() {
            manifest += &format!("[filesystem]\nread = [{:?}]\n", read.display().to_string());
        }
        for name in tools.as_object().into_iter().flatten().map(|(name, _)| name) {
            manifest +=
                &format!("[[functionality]]\nname = {name:?}\neffect = \"read\"\ndiscovered = true\n");
        }
        std::fs::write(folder.join("discovered.json"), tools.to_string()).expect("a file");
        std::fs::write(folder.join("app.toml"), manifest + more).expect("a file");
    }
}
