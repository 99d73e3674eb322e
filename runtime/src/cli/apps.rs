//! The command line of `secgpt apps add` and what belongs to it.
//!
//! Answers: where does an app come from, and what was said about it beforehand?
//! Never: judges a name or an address; that is `install`'s part.

use std::net::SocketAddr;
use std::path::PathBuf;

use bus::id::AppId;
use clap::{ArgGroup, Args, ValueHint};

/// `apps add`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Files are fetched without running anything of the package. The app is started in its jail and asked what it offers (a
server on the web is asked through the egress gateway, which goes to its host and nowhere else);
you see that and a proposed manifest, and agree, change it or leave it. All of it is pinned.

Examples:
  secgpt apps add clock --pypi mcp-server-time -- --local-timezone Europe/Paris
  secgpt apps add files --npm @modelcontextprotocol/server-filesystem -- /data
  secgpt apps add repo --pypi mcp-server-git --read ~/project
  secgpt apps add mine --command '/home/me/bin/my-server --stdio'
  secgpt apps add notes --url https://mcp.example.com/mcp
  secgpt apps add weather --openapi weather.json --yes")]
#[command(group(ArgGroup::new("source").required(true).args(["pypi", "npm", "command", "url", "openapi"])))]
pub struct Add {
    /// Its name from now on
    #[arg(value_name = "NAME")]
    pub app: AppId,
    /// A package of the Python Package Index: PKG or PKG==VERSION
    #[arg(long, value_name = "PKG")]
    pub pypi: Option<String>,
    /// A package of the npm registry: PKG or PKG@VERSION
    #[arg(long, value_name = "PKG")]
    pub npm: Option<String>,
    /// A program on this machine, with its arguments
    #[arg(long, value_name = "COMMAND", value_hint = ValueHint::CommandString)]
    pub command: Option<String>,
    /// An MCP server on the web (streamable HTTP)
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub url: Option<String>,
    /// With --url: it is on a network of yours, at this address
    #[arg(long, value_name = "ADDRESS:PORT", requires = "url")]
    pub local: Vec<SocketAddr>,
    /// A web API, by its OpenAPI description
    #[arg(long, value_name = "FILE_OR_URL", value_hint = ValueHint::AnyPath)]
    pub openapi: Option<String>,
    /// Of a package with several programs, this one
    #[arg(long, value_name = "PROGRAM")]
    pub entry: Option<String>,
    /// Show the app this file or folder, read-only
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub read: Vec<PathBuf>,
    /// Take the manifest as it is proposed
    #[arg(long, short)]
    pub yes: bool,
    /// Arguments for the server, after --
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// `apps pin`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
An app whose files, descriptions or schemas have changed is not used until you have agreed. This shows the difference.

Examples:
  secgpt apps pin clock          after a change of its app.toml, or when an answer says that it has changed
  secgpt apps pin clock --yes    agree without being asked")]
pub struct Pin {
    /// Which
    pub app: AppId,
    /// Agree without being asked
    #[arg(long, short)]
    pub yes: bool,
}

/// `apps remove`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Removes the folder of an app that was added, its grants and its credentials.

Example:
  secgpt apps remove clock --data")]
pub struct Remove {
    /// Which
    pub app: AppId,
    /// Also what it has stored, of all users
    #[arg(long)]
    pub data: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
}
