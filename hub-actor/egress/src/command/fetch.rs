//! One request of one app, without a bus: `secgpt apps add` asks a server on the web what it offers.
//!
//! Answers: what does the server say to this, by the manifest in that folder?
//! Never: goes where the manifest does not name; prints a credential; adds one where it was shown no folder of them.
//! Carries: I-12, I-13, I-15, I-16.
//!
//! Standard input is a [`FetchRequest`], standard output [`FetchReply`]s, each as a line of JSON. Whoever does not read on
//! stops the server's answer, too. Nothing is recorded: a person asks, and no app works yet.

use std::path::{Path, PathBuf};

use bus::id::{AppId, UserId};
use bus::launch::chain;
use bus::message::egress::{FetchReply, FetchRequest, WebFailure};
use bus::secret::Secret;
use clap::Args;
use manifest::Manifest;

use super::{input, say};
use crate::allowed_host::Suffixes;
use crate::app_rules::AppRules;
use crate::credential::{Credentials, Freshness};
use crate::dial::system_resolver;
use crate::fetch::{Answer, Ask, Attached, Hop, Web, trust};
use crate::limit::STANDARD;
use crate::url_rule::Permitted;

/// For whom, and by which rules.
#[derive(Args)]
pub struct Once {
    /// The app's folder. Its manifest says where the request may go.
    #[arg(long)]
    app: PathBuf,
    /// The folder of credentials; without it none is added.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// A file with their key, 64 hexadecimal digits; without it, the key in their folder.
    #[arg(long, requires = "folder")]
    key_file: Option<PathBuf>,
    /// Whose credentials; without it, those of everybody.
    #[arg(long, requires = "folder")]
    user: Option<UserId>,
    /// A certificate authority to trust besides the system's.
    #[arg(long)]
    tls_ca: Option<PathBuf>,
    /// Another Public Suffix List than the shipped one.
    #[arg(long)]
    suffix_list: Option<PathBuf>,
}

/// As much as a request with the largest body takes, written as JSON.
const LARGEST: u64 = 8 << 20;

/// What a request needs.
struct Way {
    web: Web,
    app: AppId,
    rules: AppRules,
    credentials: Option<Credentials>,
    user: Option<UserId>,
}

impl Once {
    /// Asks, and prints what comes.
    pub(super) fn run(self) -> Result<(), String> {
        let request: FetchRequest = input(LARGEST)?;
        let way = self.way()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("no runtime: {error}"))?;
        runtime.block_on(way.carry(request))
    }

    fn way(self) -> Result<Way, String> {
        let suffixes = match &self.suffix_list {
            None => Suffixes::shipped(),
            Some(path) => Suffixes::read(&text(path)?),
        };
        let suffixes = suffixes.map_err(|error| chain(&error))?;
        let tls = trust(self.tls_ca.as_deref()).map_err(|error| error.to_string())?;
        // Not held against its pin: this is asked for before there is one, and for a new one.
        let limits = &manifest::limits::DEFAULT;
        let manifest = Manifest::as_it_stands(&self.app, limits).map_err(|error| error.to_string())?;
        let rules = AppRules::of(&manifest, &suffixes).map_err(|error| chain(&error))?;
        let key = self.key_file.as_deref().map(text).transpose()?;
        let key = key.map(|key| Secret::new(key.trim().to_owned()));
        let open = |folder: &PathBuf| Credentials::open(folder, key.as_ref()).map_err(|error| chain(&error));
        Ok(Way {
            web: Web::new(system_resolver(), tls, STANDARD),
            app: manifest.app,
            rules,
            credentials: self.folder.as_ref().map(open).transpose()?,
            user: self.user,
        })
    }
}

impl Way {
    async fn carry(&self, request: FetchRequest) -> Result<(), String> {
        match self.answer(request).await {
            Ok(answer) => pass_on(answer).await,
            Err(failure) => say(&FetchReply::Failed(failure)),
        }
    }

    async fn answer(&self, request: FetchRequest) -> Result<Answer, WebFailure> {
        let ask = Ask::read(self.app.clone(), request, |_| {})?;
        self.web.fetch(&self.rules.rules, ask, &|permitted, hop| Box::pin(self.attach(permitted, hop))).await
    }

    async fn attach(&self, permitted: Permitted, hop: Hop) -> Result<Option<Attached>, WebFailure> {
        match (&self.credentials, hop) {
            (Some(all), Hop::Own) => {
                let user = self.user.as_ref();
                all.attach(&self.web, &self.app, user, &self.rules, &permitted, &Freshness::Usual).await
            }
            // A redirect may have been planted; and in no folder there is no credential.
            _ => Ok(None),
        }
    }
}

async fn pass_on(answer: Answer) -> Result<(), String> {
    let Answer { status, permitted, headers, mut body } = answer;
    say(&FetchReply::Head { status, url: permitted.url.into(), headers })?;
    let (mut seq, mut total) = (0_u32, 0_u64);
    loop {
        match body.next().await {
            Ok(Some(bytes)) => {
                total = total.saturating_add(bytes.len() as u64);
                say(&FetchReply::Chunk { seq, bytes })?;
                seq = seq.wrapping_add(1);
            }
            Ok(None) => return say(&FetchReply::End { bytes: total }),
            Err(failure) => return say(&FetchReply::Failed(failure)),
        }
    }
}

fn text(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
