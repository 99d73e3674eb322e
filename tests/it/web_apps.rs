//! Apps of kind `http`: the shipped ones, whole systems, over TLS, against servers of our own.
//!
//! Answers: does every functionality do what its users know, and who gets to see the credential?
//! Carries: I-12, I-13, I-15, I-16.

mod api;
mod google;
mod reach;
mod study;

use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::process::{Command, Stdio};

use bus::message::user::Outcome;
use serde_json::{Value, json};
use system_tests::bundle::workspace;
use system_tests::program::built;
use system_tests::scratch::Scratch;
use system_tests::system::{Options, System};
use system_tests::web_server::Authority;
use system_tests::web_server::google::{Account, Google, file, message};

/// What no output may ever contain.
pub const TOKEN: &str = "ya29.planted-token-Zq7Xw2";

/// Copies of shipped apps, with the address of a test's server in the place of Google's; nothing else differs.
pub struct Shipped {
    scratch: Scratch,
    /// Who signs for the server.
    pub authority: Authority,
    /// The server.
    pub google: Google,
}

impl Shipped {
    pub fn new(apps: &[&str]) -> Self {
        Self::with(apps, account())
    }

    pub fn with(apps: &[&str], account: Account) -> Self {
        let authority = Authority::new();
        let google = Google::start(&authority, TOKEN, account);
        let shipped = Self { scratch: Scratch::new("apps"), authority, google };
        std::fs::write(shipped.scratch.join("authority.pem"), shipped.authority.pem()).unwrap();
        for app in apps {
            shipped.copy(app);
        }
        shipped
    }

    pub fn address(&self) -> String {
        self.google.server.address.to_string()
    }

    /// Where the copies lie.
    pub fn folder(&self) -> std::path::PathBuf {
        self.scratch.join("apps")
    }

    fn copy(&self, app: &str) {
        let (from, to) = (workspace().join("data/apps").join(app), self.folder().join(app));
        std::fs::create_dir_all(&to).unwrap();
        let (there, here) = (["gmail.googleapis.com", "www.googleapis.com"], self.address());
        for entry in std::fs::read_dir(from).unwrap().flatten() {
            let mut text = std::fs::read_to_string(entry.path()).unwrap();
            for host in there {
                text = text.replace(&format!("https://{host}/gmail"), &format!("https://{here}/gmail"));
                text = text.replace(&format!("https://{host}/drive"), &format!("https://{here}/drive"));
                text = text.replace(&format!("hosts = [\"{host}\"]"), &format!("local = [\"{here}\"]"));
                text = text.replace(&format!("for = [\"{host}\"]"), &format!("for = [\"{here}\"]"));
            }
            text = text.replace("domains = []", &format!("local = [\"{here}\"]"));
            std::fs::write(to.join(entry.file_name()), text).unwrap();
        }
    }

    /// Settings of a system that has them, and trusts the server's authority.
    pub fn install(&self, options: Options) -> Options {
        let dirs = json!([self.folder()]).to_string();
        let authority = self.scratch.join("authority.pem").display().to_string();
        options.set("apps.dirs", &dirs).set("egress.tls_ca", &authority)
    }

    /// A running system in which everybody's requests of these apps carry the token.
    pub fn start(&self, authorized: &[&str]) -> System {
        self.start_with(authorized, Options::default())
    }

    pub fn start_with(&self, authorized: &[&str], options: Options) -> System {
        let mut system = System::at_rest(self.install(options));
        for app in authorized {
            authorize(&system, app);
        }
        system.up();
        system
    }
}

/// Gives an app its token, as `secgpt apps authorize` does at the end.
fn authorize(system: &System, app: &str) {
    let folder = system.state().join("credentials");
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).unwrap();
    let mut command = Command::new(built("egress-gateway"));
    command.args(["credential", "set", "--app", app, "--name", "google", "--folder"]).arg(folder);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let credential = json!({"oauth2": {"access": TOKEN, "token_url": "https://oauth2.googleapis.com/token", "client_id": "me"}});
    child.stdin.take().unwrap().write_all(credential.to_string().as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

pub fn account() -> Account {
    Account {
        messages: vec![
            message("m3", "t2", "Ann <ann@post.example>", "Rent", "The rent rises. Pay by May.\nGrüße, Ann"),
            message("m2", "t1", "Bob <bob@post.example>", "Re: Dinner", "Seven is fine."),
            message("m1", "t1", "Ann <ann@post.example>", "Dinner", "Dinner at seven?"),
        ],
        files: vec![
            file("d1", "Budget's plan", "application/vnd.google-apps.document", "We spend 100 on plants."),
            file("d2", "Plants", "application/vnd.google-apps.spreadsheet", "plant,price\nfern,7\n"),
            file("d3", "notes.txt", "text/plain", "Water the plants."),
            file("d4", "plants.json", "application/json", "{\"plants\": 3}"),
            file("d5", "Other", "text/plain", "Nothing of interest."),
        ],
        ..Account::default()
    }
}

/// The value of the only step, which must have one.
#[track_caller]
pub fn only(outcome: &Outcome) -> &Value {
    let [result] = outcome.results.as_slice() else { panic!("{outcome:#?}") };
    assert_eq!(result.error, None, "{outcome:#?}");
    &result.value
}

/// Why the only step has no value.
#[track_caller]
pub fn refused(outcome: &Outcome) -> &str {
    let [result] = outcome.results.as_slice() else { panic!("{outcome:#?}") };
    result.error.as_deref().unwrap_or_else(|| panic!("{outcome:#?}"))
}
