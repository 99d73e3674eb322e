//! The app child, seen from the operator.
//!
//! Answers: does the app run, what does it answer, and how did it end?
//! Never: trusts a byte that it writes; lets an app that breaks its protocol go on.
//! Carries: I-11, I-16.

pub(crate) mod describe;
pub(crate) mod http;
pub(crate) mod mcp;
pub(crate) mod prompt;

mod frames;
mod hint;
mod stderr;

use std::sync::Arc;
use std::time::Duration;

use bus::id::AppId;
use bus::message::profile::{Function, Profile};
use bus::message::task::{Failure, FailureCode};
use jail::app::{AppEnd, AppEvent, AppSpec};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::{Notify, watch};

use crate::job::{Job, cut};
use crate::start::Failed;
use crate::web::Web;
use stderr::LastWords;

/// How long the jail and the app's first instruction may take: a program on a cold disk.
const START: Duration = Duration::from_secs(15);

/// How long after its output closed an app may take to end.
const CLOSING: Duration = Duration::from_secs(1);

/// The pipes to an app child that was started, wrapped for the event loop before that is forbidden.
pub(crate) struct Child {
    stdin: pipe::Sender,
    stdout: pipe::Receiver,
    stderr: pipe::Receiver,
    control: UnixStream,
    /// Where the app's connections to its proxy come out, if it has one.
    door: Option<UnixStream>,
    /// Kept, so that the launcher stays ours.
    _launcher: std::process::Child,
}

impl Child {
    /// Starts the jail's launcher. Whether the program runs is told later, see [`App::begin`].
    pub(crate) fn start(spec: &AppSpec) -> Result<Self, Failed> {
        let failed = |what: &str| {
            let words = format!("the app's {what} cannot be used");
            move |error: std::io::Error| Failed::new(format!("{words}: {error}"), None)
        };
        let mut started = jail::app::start(spec)?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (started.child.stdin.take(), started.child.stdout.take(), started.child.stderr.take())
        else {
            return Err(Failed::new("the app has no pipes", None));
        };
        started.control.set_nonblocking(true).map_err(failed("control channel"))?;
        let door = started.door.map(|door| {
            door.set_nonblocking(true)?;
            UnixStream::from_std(door)
        });
        Ok(Self {
            stdin: pipe::Sender::from_owned_fd(stdin.into()).map_err(failed("input"))?,
            stdout: pipe::Receiver::from_owned_fd(stdout.into()).map_err(failed("output"))?,
            stderr: pipe::Receiver::from_owned_fd(stderr.into()).map_err(failed("log"))?,
            control: UnixStream::from_std(started.control).map_err(failed("control channel"))?,
            door: door.transpose().map_err(failed("proxy"))?,
            _launcher: started.child,
        })
    }

    /// Where its connections to its proxy come out, once.
    pub(crate) fn door(&mut self) -> Option<UnixStream> {
        self.door.take()
    }
}

/// How an app came to its end.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    /// For the tasks that were running.
    pub(crate) failure: Failure,
    /// In a few words, for the host.
    pub(crate) how: String,
    /// Was it killed for breaking a rule?
    pub(crate) violation: bool,
}

/// What is known of an app.
#[derive(Clone)]
enum Life {
    Starting,
    Serving(Arc<mcp::Server>),
    Ended(Arc<Ending>),
}

/// Says once how the app ended; what is said later is a consequence and not heard.
#[derive(Clone)]
struct Undertaker(watch::Sender<Life>, AppId);

impl Undertaker {
    fn ended(&self, code: FailureCode, how: &str, violation: bool, last_words: Option<String>) {
        let mut detail = format!("{} {how}", self.1);
        if let Some(words) = last_words {
            detail = format!("{detail}; its last words: {}", cut(&words, 300));
            if let Some(hint) = hint::of(&self.1, &words) {
                detail = format!("{detail}; {hint}");
            }
        }
        let ending = Ending { failure: Failure::new(code, detail), how: how.to_owned(), violation };
        self.0.send_if_modified(|life| match life {
            Life::Ended(_) => false,
            _ => {
                *life = Life::Ended(Arc::new(ending));
                true
            }
        });
    }

    /// It does not speak its protocol, and is killed.
    fn nonsense(&self, how: &str) {
        self.ended(FailureCode::AppNonsense, &format!("{how}, and was killed"), false, None);
    }
}

/// A running app. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    life: watch::Receiver<Life>,
    undertaker: Undertaker,
    /// A call has come.
    wanted: Arc<Notify>,
}

impl App {
    /// Waits until the program runs, then has it greeted on the side.
    pub(crate) async fn begin(child: Child, profile: &Profile, log: stderr::Log) -> Result<Self, Failed> {
        let app = &profile.app;
        let mut control = BufReader::with_capacity(512, child.control);
        let event = tokio::time::timeout(START, event(&mut control))
            .await
            .map_err(|_| Failed::new(format!("the jail of {app} was not up within {START:?}"), None))?;
        match event {
            Some(AppEvent::Started) => {}
            Some(AppEvent::Failed { layer, message, hint }) => {
                return Err(Failed::new(format!("the app cannot be confined ({layer}): {message}"), hint));
            }
            Some(AppEvent::Ended(end)) => return Err(Failed::new(format!("{app} {}", words(&end).0), None)),
            None => return Err(Failed::new(format!("the jail of {app} ended before it was up"), None)),
        }
        let (tell, life) = watch::channel(Life::Starting);
        let undertaker = Undertaker(tell, app.clone());
        let (last_words, says) = stderr::forward(child.stderr, log);
        let frames = frames::Frames::new(child.stdout, child.stdin, undertaker.clone()).logging(says.clone());
        tokio::spawn(mcp::over_pipes(frames, profile.clone(), says, undertaker.clone()));
        tokio::spawn(watch_over(control, life.clone(), undertaker.clone(), last_words, child._launcher));
        Ok(Self { life, undertaker, wanted: Arc::default() })
    }

    /// An app whose server is on the web. It is greeted when it is first called: before that the gateway does not know
    /// for whom, and so with which credential.
    pub(crate) fn remote(url: String, profile: &Profile, web: Web, log: stderr::Log) -> Self {
        let (tell, life) = watch::channel(Life::Starting);
        let undertaker = Undertaker(tell, profile.app.clone());
        let says = stderr::elsewhere(log);
        let wanted = Arc::<Notify>::default();
        let (first, profile, own) = (Arc::clone(&wanted), profile.clone(), undertaker.clone());
        tokio::spawn(async move {
            first.notified().await;
            mcp::over_the_web(web, url, profile, says, own).await;
        });
        Self { life, undertaker, wanted }
    }

    /// Calls a functionality of the app.
    pub(crate) async fn call(&self, job: &Job, function: &Function, args: Value) -> Result<Value, Failure> {
        // Kept, should nobody wait for it yet or any more.
        self.wanted.notify_one();
        let server = self.serving().await?;
        match server.call(job, function, args).await {
            Ok(value) => Ok(value),
            Err(mcp::NotCalled::Failure(failure)) => Err(failure),
            Err(mcp::NotCalled::Gone) => {
                if tokio::time::timeout(CLOSING, self.ended()).await.is_err() {
                    self.undertaker.nonsense("closed its output without ending");
                }
                Err(self.ended().await.failure.clone())
            }
        }
    }

    /// Returns when the app is no more.
    pub(crate) async fn ended(&self) -> Arc<Ending> {
        let mut life = self.life.clone();
        loop {
            if let Life::Ended(ending) = &*life.borrow_and_update() {
                return Arc::clone(ending);
            }
            if life.changed().await.is_err() {
                // Its sender lives in `self`.
                std::future::pending::<()>().await;
            }
        }
    }

    async fn serving(&self) -> Result<Arc<mcp::Server>, Failure> {
        let mut life = self.life.clone();
        loop {
            match &*life.borrow_and_update() {
                Life::Serving(server) => return Ok(Arc::clone(server)),
                Life::Ended(ending) => return Err(ending.failure.clone()),
                Life::Starting => {}
            }
            if life.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Listens to the jail until the app has ended. Returning closes the control channel, which kills what is left.
async fn watch_over(
    mut control: BufReader<UnixStream>,
    mut life: watch::Receiver<Life>,
    undertaker: Undertaker,
    last_words: LastWords,
    _launcher: std::process::Child,
) {
    let event = tokio::select! {
        event = event(&mut control) => event,
        _ = life.wait_for(|life| matches!(life, Life::Ended(_))) => return,
    };
    let (how, violation) = match event {
        Some(AppEvent::Ended(end)) => words(&end),
        _ => ("was lost by its jail".to_owned(), false),
    };
    undertaker.ended(FailureCode::AppExited, &how, violation, last_words.take());
}

/// The jail's next event; `None` at its end.
async fn event(control: &mut BufReader<UnixStream>) -> Option<AppEvent> {
    let mut line = Vec::new();
    control.take(64 << 10).read_until(b'\n', &mut line).await.ok()?;
    serde_json::from_slice(&line).ok()
}

/// How it ended, and whether for breaking a rule.
fn words(end: &AppEnd) -> (String, bool) {
    match end {
        AppEnd::Exited { code } => (format!("ended by itself with exit code {code}"), false),
        AppEnd::Signalled { name, .. } => (format!("was ended by the signal {name}"), false),
        AppEnd::Refused { syscall, name } => {
            let call = match (name, syscall) {
                (Some(name), Some(number)) => format!(" {name} ({number})"),
                (Some(name), None) => format!(" {name}"),
                (None, Some(number)) => format!(" {number}"),
                (None, None) => String::new(),
            };
            (format!("was killed for a system call that apps may not make:{call}"), true)
        }
        AppEnd::OverData { used_mb, limit_mb } => {
            (format!("was killed for {used_mb} MiB in its data folder, where {limit_mb} are allowed"), true)
        }
        AppEnd::OverMemory { used_mb, limit_mb } => {
            (format!("was killed for using {used_mb} MiB of memory, where {limit_mb} are allowed"), true)
        }
        AppEnd::CpuTime => ("was killed for using up its processor time".to_owned(), true),
        AppEnd::FileSize => ("was killed for writing a file larger than allowed".to_owned(), true),
        AppEnd::Stopped => ("was stopped".to_owned(), false),
    }
}

pub(crate) use stderr::Log;
