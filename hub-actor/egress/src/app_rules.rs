//! What each app's manifest says about the web.
//!
//! Answers: which rules and credentials are an app's?
//! Never: reads a manifest again unless the hub says that a person wants it: a file that an app's update replaced changes
//! nothing by itself. An app without a readable manifest, or whose files are not those that were pinned, has no way out.
//! Carries: I-06, I-12.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use bus::id::AppId;
use manifest::{CredentialUse, Manifest};

use crate::allowed_host::{LineError, Rules, Suffixes};

/// One app's way out.
#[derive(Clone, Debug)]
pub struct AppRules {
    /// Where it may go.
    pub rules: Rules,
    /// What is added on the way, by the name in the manifest.
    pub credentials: BTreeMap<String, CredentialUse>,
}

/// All apps'.
#[derive(Clone, Debug)]
pub struct Book {
    apps: HashMap<AppId, AppRules>,
    nothing: AppRules,
}

impl Book {
    /// From the apps' folders. What is wrong with one is logged, and that app has no way out.
    #[must_use]
    pub fn load(dirs: &[PathBuf], suffixes: &Suffixes) -> Self {
        let (manifests, errors) = manifest::load_all(dirs, None, &manifest::limits::DEFAULT);
        for error in errors {
            tracing::warn!(%error, "this app has no way out");
        }
        let mut book = Self::empty(suffixes);
        for manifest in manifests {
            match AppRules::of(&manifest, suffixes) {
                Ok(rules) => book.insert(manifest.app, rules),
                Err(error) => {
                    let file = manifest.dir.join("app.toml");
                    tracing::warn!(app = %manifest.app, file = %file.display(), %error, "this app has no way out");
                }
            }
        }
        book
    }

    /// Nobody may go anywhere.
    #[must_use]
    pub fn empty(suffixes: &Suffixes) -> Self {
        let nothing = AppRules { rules: Rules::nothing(suffixes), credentials: BTreeMap::new() };
        Self { apps: HashMap::new(), nothing }
    }

    /// Adds an app's, or replaces them.
    pub fn insert(&mut self, app: AppId, rules: AppRules) {
        self.apps.insert(app, rules);
    }

    /// Those of an app; of one that is not known: none.
    #[must_use]
    pub fn of(&self, app: &AppId) -> &AppRules {
        self.apps.get(app).unwrap_or(&self.nothing)
    }
}

/// The book in force, and where the next one is read.
#[derive(Debug)]
pub struct Shelf {
    book: RwLock<Arc<Book>>,
    dirs: Vec<PathBuf>,
    suffixes: Suffixes,
    /// One at a time reads, so that what is in force was read last.
    reading: tokio::sync::Mutex<()>,
}

impl Shelf {
    /// Reads the manifests in these folders.
    #[must_use]
    pub fn read(dirs: Vec<PathBuf>, suffixes: Suffixes) -> Self {
        Self::new(Book::load(&dirs, &suffixes), dirs, suffixes)
    }

    /// Holds this book until folders are read; here there are none.
    #[must_use]
    pub fn holding(book: Book) -> Self {
        Self::new(book, Vec::new(), Suffixes::none())
    }

    fn new(book: Book, dirs: Vec<PathBuf>, suffixes: Suffixes) -> Self {
        let book = RwLock::new(Arc::new(book));
        Self { book, dirs, suffixes, reading: tokio::sync::Mutex::default() }
    }

    /// What is in force.
    #[must_use]
    pub fn book(&self) -> Arc<Book> {
        Arc::clone(&self.book.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the manifests again. What is being fetched goes on under the rules it began with.
    ///
    /// # Errors
    /// If nobody could read them; then all stays as it was.
    pub async fn read_again(&self) -> Result<(), tokio::task::JoinError> {
        let _alone = self.reading.lock().await;
        let (dirs, suffixes) = (self.dirs.clone(), self.suffixes.clone());
        // Every file of an app is read for its hash, which may take a while.
        let book = tokio::task::spawn_blocking(move || Book::load(&dirs, &suffixes)).await?;
        *self.book.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(book);
        Ok(())
    }
}

impl AppRules {
    /// From a manifest.
    ///
    /// # Errors
    /// Names the first line that means nothing.
    pub fn of(manifest: &Manifest, suffixes: &Suffixes) -> Result<Self, LineError> {
        let network = &manifest.network;
        Ok(Self {
            rules: Rules::new(suffixes, &network.domains, &network.hosts, &network.local)?
                .with_methods(network.methods.clone()),
            credentials: manifest.credentials.clone(),
        })
    }
}
