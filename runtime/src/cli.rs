//! The command line.
//!
//! Answers: what was asked for?
//! Never: does anything; that is the commands' part.

mod apps;

use std::net::SocketAddr;
use std::path::PathBuf;

use bus::id::{AppId, FunctionName, Functionality, SessionId, UserId};
use clap::{Args, Parser, Subcommand, ValueHint};

use crate::config::Sources;
use crate::consent::Consent;
use crate::show::paint::When;

pub use apps::{Add, Pin, Remove};

/// Runs LLM apps that do not trust each other, each in a cell of its own.
#[derive(Debug, Parser)]
#[command(
    name = "secgpt",
    version,
    subcommand_required = false,
    after_help = EXAMPLES,
    after_long_help = SETTINGS
)]
pub struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do; without it, a chat.
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  secgpt                                   start everything and chat
  secgpt ask 'What does a ride from Main Street to Elm Avenue cost?'
  secgpt ask --json --consent expected 'Summarise my newest email' | jq .answer
  secgpt up                                start everything and stay; other terminals join
  secgpt tap                               watch every message, live
  secgpt case-study 2                      a mail that tries to steal, and what becomes of it
  secgpt doctor                            what this machine can enforce

Exit codes: 0 answered, 1 failed, 2 usage, 3 refused by permission.";

const SETTINGS: &str = "\
Examples:
  secgpt                                   start everything and chat
  secgpt ask 'What does a ride from Main Street to Elm Avenue cost?'
  secgpt ask --json --consent expected 'Summarise my newest email' | jq .answer
  secgpt up                                start everything and stay; other terminals join
  secgpt tap                               watch every message, live
  secgpt case-study 2                      a mail that tries to steal, and what becomes of it
  secgpt doctor                            what this machine can enforce

Settings come from secgpt.toml (here, or in ~/.config/secgpt), then from variables
SECGPT_<SECTION>_<KEY>, then from --set SECTION.KEY=VALUE. All of them, with what holds without:
  [bus]         url (none: the bundled nats-server), credentials, tls_ca,
                listen (\"127.0.0.1:0\"), tls_cert, tls_key, server (a nats-server to use)
  [model]       provider (auto | openai | ollama | scripted), base_url, model,
                api_key_env (\"OPENAI_API_KEY\"), embeddings_model, timeout (\"120s\")
  [memory]      url (none: the bundled redis-server), ttl (\"30d\"),
                summary_token_limit (300), server (a redis-server to use)
  [apps]        dirs (data/apps; those that were added are always found), enabled (all found)
  [egress]      suffix_list, tls_ca, key_file (none: those that are shipped, the machine's,
                and one of its own)
  [permission]  preset (strict | balanced | locked; balanced), policies (none, beside what
                was accepted of `policy suggest`),
                prompt_timeout (\"120s\")
  [sandbox]     memory_mb (512), cpu_s (60), file_mb (64), data_mb (256), processes (64),
                open_files (256), task_s (180), model_calls (24), tokens (400000),
                requests, capacity (256)
  [state]       dir (~/.local/state/secgpt)
  [data]        dir (apps, prompts and scripts; beside the program or in the current folder)

Exit codes: 0 answered, 1 failed, 2 usage, 3 refused by permission.";

/// What applies to every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Read the settings from this file
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Set one setting, e.g. --set model.base_url=http://localhost:8000/v1
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    pub set: Vec<(String, String)>,
    /// Keep keys, data and logs in this folder
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub state: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    pub json: bool,
    /// Say nothing but what was asked for
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: When,
}

impl Global {
    /// Where settings come from.
    #[must_use]
    pub fn sources(&self) -> Sources {
        let state = self.state.iter().map(|dir| ("state.dir".to_owned(), dir.display().to_string()));
        Sources { file: self.config.clone(), set: self.set.iter().cloned().chain(state).collect() }
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .ok_or_else(|| "KEY=VALUE is needed, e.g. permission.preset=strict".to_owned())
}

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Talk, with history and permission prompts (this is what plain `secgpt` does)
    Chat(Chat),
    /// Ask one query and print the answer
    Ask(Ask),
    /// Start everything and stay, until Ctrl-C
    Up,
    /// Watch every message on the bus, live
    Tap(Tap),
    /// Show the installed apps
    #[command(subcommand)]
    Apps(Apps),
    /// Show or take back permissions that were given for good
    #[command(subcommand)]
    Grants(Grants),
    /// Say how often you were asked, and about what
    Stats(Stats),
    /// Try rules, say why a flow was decided so, suggest rules that spare questions
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Show or forget what is remembered
    #[command(subcommand)]
    Memory(Memory),
    /// Print who may say and hear what on the bus
    Acl,
    /// Say what this machine can enforce, and what is missing
    Doctor,
    /// Play one of the four case studies, and judge it by what really happened
    CaseStudy(CaseStudy),
    /// Let other machines run spokes for this one
    #[command(subcommand)]
    Host(Host),
    /// The scripted model
    #[command(subcommand)]
    Model(Model),
    /// Print completions for a shell
    #[command(
        after_help = "Example:\n  secgpt completions bash > ~/.local/share/bash-completion/completions/secgpt"
    )]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Who asks, and in which conversation.
#[derive(Clone, Debug, Default, Args)]
pub struct Who {
    /// For whom
    #[arg(long, value_name = "U", help = "For whom [default: your login name]")]
    pub user: Option<UserId>,
    /// Go on with this conversation
    #[arg(long, value_name = "S", help = "Go on with this conversation [default: a new one]")]
    pub session: Option<SessionId>,
    /// Keep nothing of this, and offer apps nothing that is stored
    #[arg(long)]
    pub private: bool,
}

/// `stats`
#[derive(Clone, Debug, Args)]
pub struct Stats {
    /// For whom
    #[arg(long, value_name = "U", help = "For whom [default: your login name]")]
    pub user: Option<UserId>,
}

/// `chat`
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "In the chat, /help lists its commands.")]
pub struct Chat {
    /// Who asks.
    #[command(flatten)]
    pub who: Who,
    /// How permission prompts are answered
    #[arg(long, value_name = "C")]
    pub consent: Option<Consent>,
}

/// `ask`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  secgpt ask 'Use metro_hail to get the fare from Main Street to Elm Avenue'
  secgpt ask --consent once 'Book a flight from Irvine to Paris on June 10th'
  secgpt ask --json --baseline 'Summarise my newest email'

Exit codes: 0 answered, 1 failed, 2 usage, 3 refused by permission.")]
pub struct Ask {
    /// The query
    #[arg(value_name = "QUERY")]
    pub query: String,
    /// Who asks.
    #[command(flatten)]
    pub who: Who,
    /// How permission prompts are answered [default: ask on a terminal, deny elsewhere]
    #[arg(long, value_name = "C")]
    pub consent: Option<Consent>,
    /// Without isolation: all apps in one context, no permission; for comparison only
    #[arg(long)]
    pub baseline: bool,
}

/// `tap`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  secgpt tap
  secgpt tap --app mail
  secgpt tap --json | jq 'select(.kind == \"audit\") | .body.what'")]
pub struct Tap {
    /// Only what this app says or hears, and what is said about it
    #[arg(long, value_name = "APP")]
    pub app: Option<AppId>,
    /// Only what this user says or hears
    #[arg(long, value_name = "U")]
    pub user: Option<UserId>,
    /// Only messages of this kind, e.g. `query`, `task`, `isc-request`, `audit`
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Only tasks, results and decisions that carry data from there, e.g. `app:drive`, `web:example.com`
    #[arg(long, value_name = "LABEL")]
    pub label: Option<String>,
}

/// `apps`
#[derive(Clone, Debug, Subcommand)]
pub enum Apps {
    /// List them
    List,
    /// Say which app does it, where several can
    #[command(subcommand)]
    Default(Defaults),
    /// Let one use an account: its requests carry a key or a token that it never sees
    Authorize(Authorize),
    /// Show one: what it can do, what it may use, what it says about itself
    Show {
        /// Which
        app: AppId,
    },
    /// Install one that somebody else wrote
    Add(Add),
    /// Agree to one as it is now, after seeing what has changed
    Pin(Pin),
    /// Take one that was added away again
    Remove(Remove),
}

/// `apps default`
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = "\
Where several apps can do the very same and a query names none of them, the hub asks which one, once in a
conversation. A default answers for good.

Example:
  secgpt apps default set metro_hail.estimate_fare")]
pub enum Defaults {
    /// List them
    List {
        /// Whose
        #[arg(long, value_name = "U")]
        user: Option<UserId>,
    },
    /// From now on this app does it, where several can and a query names none
    Set {
        /// Which functionality of which app
        #[arg(value_name = "APP.NAME", value_parser = Functionality::parse)]
        functionality: Functionality,
        /// Whose
        #[arg(long, value_name = "U")]
        user: Option<UserId>,
    },
    /// Be asked again
    Clear {
        /// The functionality's name within an app, as listed
        name: FunctionName,
        /// Whose
        #[arg(long, value_name = "U")]
        user: Option<UserId>,
    },
}

/// `apps authorize`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
An API key is typed (and not shown), or read from standard input or a variable. For an account at an OAuth 2
service a browser is opened; with --device you type a code in any browser. Keys and tokens go to the egress
gateway, which seals them, renews them and adds them to the app's requests to the hosts that its manifest names.

Examples:
  secgpt apps authorize gmail
  secgpt apps authorize gmail --device
  secgpt apps authorize weather --from-env WEATHER_KEY
  secgpt apps authorize --list
  secgpt apps authorize weather --remove")]
pub struct Authorize {
    /// Which app
    #[arg(required_unless_present = "list")]
    pub app: Option<AppId>,
    /// Which of its credentials
    #[arg(long, value_name = "NAME", help = "Which of its credentials [default: the only one]")]
    pub credential: Option<String>,
    /// Whose account
    #[arg(long, value_name = "U", help = "Whose account [default: your login name]")]
    pub user: Option<UserId>,
    /// For all users of this installation
    #[arg(long, conflicts_with = "user")]
    pub everyone: bool,
    /// With a code that you type in any browser
    #[arg(long, conflicts_with = "no_browser")]
    pub device: bool,
    /// Print the address, and open no browser
    #[arg(long)]
    pub no_browser: bool,
    /// Take the key (or, for OAuth 2, the client's secret) from this variable
    #[arg(long, value_name = "VAR")]
    pub from_env: Option<String>,
    /// The OAuth 2 client that asks, where the manifest names none
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// That client has a secret; ask for it
    #[arg(long)]
    pub client_secret: bool,
    /// List what was given, without the keys and tokens
    #[arg(long, conflicts_with = "remove")]
    pub list: bool,
    /// Forget it
    #[arg(long)]
    pub remove: bool,
}

/// `grants`
#[derive(Clone, Debug, Subcommand)]
pub enum Grants {
    /// List them
    List {
        /// Whose
        #[arg(long, value_name = "U")]
        user: Option<UserId>,
    },
    /// Take one back
    Revoke {
        /// Its id, as listed
        grant: String,
        /// Whose
        #[arg(long, value_name = "U")]
        user: Option<UserId>,
    },
    /// Have one end by itself
    #[command(after_help = "\
Example:
  secgpt grants expire GRANT --days 7

A grant can be ended sooner than it ends, never later. At a prompt, “month” is an “always” that ends after 30
days, and “always 7d” one that ends after seven.")]
    Expire {
        /// Its id, as listed
        grant: String,
        /// So many days from now
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(crate::consent::MOST_DAYS)))]
        days: u32,
        /// Whose
        #[arg(long, value_name = "U")]
        user: Option<UserId>,
    },
}

/// `policy`
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = "\
Rules say what runs, what is asked about and what is forbidden. A file of yours comes beside the preset:
  [permission]
  preset = \"balanced\"
  policies = [\"own.cedar\"]

A first one, so that nothing of mail ever leaves:
  @id(\"no-mail-out\")
  @reason(\"Mail does not leave.\")
  forbid (principal, action, resource == Functionality::\"mail.send\");

data/policies/README.md says what a rule may speak of; its folder `examples` has more.")]
pub enum PolicyCommand {
    /// Are these files with rules? Tells file and line of what is wrong
    #[command(after_help = "Example:\n  secgpt policy check own.cedar")]
    Check {
        /// Which [default: those of the configuration]
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
    },
    /// Do the rules decide as this file expects? Shows what differs
    #[command(after_help = "\
A file, TOML or JSON; what is left out of a flow is as in the first line of its comment:
  preset = \"balanced\"
  policies = [\"own.cedar\"]          # beside this file
  [[flow]]                          # from plan, effect read, expected, accounted, attended, labels [\"user\"]
  name = \"mail to a contact\"
  to = \"mail.send\"
  effect = \"irreversible\"
  derived = [{ value = \"sue@x.example\", sources = [\"app:contacts\"] }]    # or: named = […], unnamed = […]
  decision = \"ask\"                # allow | ask | deny
  by = \"policy:irreversible\"      # optional

Exit codes: 0 all as expected, 1 something differs, 2 the file cannot be used.")]
    Test {
        /// The file
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Why was a flow decided so, and what would change it?
    #[command(after_help = "\
Examples:
  secgpt policy explain                    all flows of the last conversation, or case study
  secgpt policy explain --flow 2           the second of them
  secgpt policy explain --list             the conversations that are kept
  secgpt policy explain --session S --json

Only what was asked from this state folder is known: the last hundred conversations; private queries are
not kept.")]
    Explain {
        /// List the conversations that are kept
        #[arg(long, conflicts_with_all = ["session", "flow"])]
        list: bool,
        /// Of this conversation [default: the last one]
        #[arg(long, value_name = "S")]
        session: Option<SessionId>,
        /// Only this one, counted from 1
        #[arg(long, value_name = "N")]
        flow: Option<usize>,
    },
    /// Which rules would have spared questions? The narrowest first
    #[command(after_help = "\
Only what the plan foresaw, and you allowed and never refused, is suggested. A rule that you accept is in force when
secgpt has started anew, and is taken back by deleting it in its file. For one way alone, a grant is less:
answer “session”, “month” or “always” when you are asked.")]
    Suggest {
        /// Accept this one
        #[arg(long, value_name = "N")]
        accept: Option<usize>,
        /// Write it into this file, which the settings name or will name [default: policies/accepted.cedar in the state folder, which
        /// always counts]
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "accept")]
        out: Option<PathBuf>,
    },
    /// Print what a rule may speak of
    Schema,
}

/// `memory`
#[derive(Clone, Debug, Subcommand)]
pub enum Memory {
    /// Show what is remembered
    Show {
        /// Of which app only
        app: Option<AppId>,
        /// Of whom
        #[arg(long, value_name = "U")]
        user: Option<UserId>,
    },
    /// Forget it
    Forget {
        /// Of which app only
        app: Option<AppId>,
        /// Of whom
        #[arg(long, value_name = "U")]
        user: Option<UserId>,
    },
}

/// `case-study`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The studies:
  1  an app's description orders the fares of others to be raised
  2  a mail orders the Drive to be read, sent away, and itself to be deleted
  3  an app asks for any personal data on record
  4  an app turns every answer into fiction

Each is judged by what really happened: the figures shown, the mail that left, the data that arrived.
Without --baseline both systems are played, side by side.")]
pub struct CaseStudy {
    /// Which
    #[arg(value_parser = clap::value_parser!(u8).range(1..=4))]
    pub number: u8,
    /// Play it without isolation only
    #[arg(long)]
    pub baseline: bool,
    /// How permission prompts are answered
    #[arg(long, value_name = "C", default_value = "expected")]
    pub consent: Consent,
}

/// `host`
#[derive(Clone, Debug, Subcommand)]
pub enum Host {
    /// Write a credentials file for another machine
    Enroll {
        /// The machine's name: 1 to 48 of a-z, 0-9 and -
        name: bus::id::HostId,
        /// Where to write it [default: NAME.creds]
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        out: Option<PathBuf>,
        /// The address under which that machine reaches the broker
        #[arg(long)]
        url: Option<String>,
    },
    /// Take a machine's credentials back: it is put out at once
    Revoke {
        /// The machine's name, as it was enrolled
        name: bus::id::HostId,
        /// Its credentials file, if it was not enrolled from this state folder
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        creds: Option<PathBuf>,
    },
    /// Run spokes for a hub on another machine, until Ctrl-C
    Run {
        /// The broker's address, e.g. tls://hub.example:4222
        #[arg(long)]
        url: String,
        /// The credentials file that `host enroll` wrote
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        creds: PathBuf,
        /// The certificate authority to trust besides the system's
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        tls_ca: Option<PathBuf>,
    },
}

/// `model`
#[derive(Clone, Debug, Subcommand)]
pub enum Model {
    /// Serve the scripted model to any OpenAI client, until Ctrl-C
    Serve {
        /// Where to listen
        #[arg(long, default_value = "127.0.0.1:8099")]
        listen: SocketAddr,
        /// How long each answer takes, milliseconds
        #[arg(long, value_name = "MS", default_value_t = 0)]
        delay: u64,
        /// Want this bearer token in every request
        #[arg(long)]
        key: Option<String>,
    },
}

#[cfg(test)]
mod tests;
