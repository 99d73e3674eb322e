//! A person's answers to prompts.
//!
//! Answers: which key, or which word of a pipe, was given?
//! Never: takes silence, or anything but a clear yes, for a yes.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bus::message::user::{AppChoice, Choice, Prompt, Width};
use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::terminal;
use tokio::sync::mpsc;

use crate::consent::{Pick, Reply, answered, picked, spoken};
use crate::show;

/// Where answers come from.
pub enum Keys {
    /// Single keys at a terminal.
    Terminal,
    /// Lines of standard input; an end of it is a refusal.
    Pipe(mpsc::Receiver<String>),
}

/// What a key means.
enum Said {
    All(Reply),
    EachOfThem,
}

/// Often enough to notice that nobody waits for the key any more.
const POLL: Duration = Duration::from_millis(50);

/// Lines that wait to be taken.
const LINES: usize = 16;

impl Keys {
    /// A terminal, or standard input line by line.
    #[must_use]
    pub fn new(terminal: bool) -> Self {
        if terminal { Keys::Terminal } else { Keys::pipe() }
    }

    fn pipe() -> Self {
        let (line, lines) = mpsc::channel(LINES);
        // A thread of its own, because reading standard input cannot be called off.
        std::thread::spawn(move || {
            for text in std::io::stdin().lock().lines().map_while(Result::ok) {
                if line.blocking_send(text).is_err() {
                    return;
                }
            }
        });
        Keys::Pipe(lines)
    }

    /// The next line of a pipe; nothing at its end, or if this is a terminal.
    pub async fn line(&mut self) -> Option<String> {
        match self {
            Keys::Terminal => None,
            Keys::Pipe(lines) => lines.recv().await,
        }
    }

    /// What the person says to a prompt that is on the screen. No answer in time is a refusal.
    pub async fn choose(&mut self, prompt: &Prompt) -> Reply {
        let limit = Duration::from_millis(prompt.limit_ms);
        let offers = prompt.offers.clone();
        match self {
            Keys::Pipe(lines) => {
                let answer = async {
                    loop {
                        let line = lines.recv().await?;
                        if let Some(reply) = spoken(&line, prompt) {
                            return Some(reply);
                        }
                    }
                };
                tokio::time::timeout(limit, answer).await.ok().flatten().unwrap_or(Choice::Deny.into())
            }
            Keys::Terminal => {
                let question = show::offers(prompt);
                let several = !prompt.others.is_empty();
                let meaning = move |key: char| match key {
                    'e' if several => Some(Said::EachOfThem),
                    key => answered(&key.to_string(), &offers).map(Said::All),
                };
                match key(question, limit, meaning).await {
                    Some(Said::EachOfThem) => self.each(prompt).await,
                    Some(Said::All(reply)) => {
                        Reply { width: self.width(prompt, reply.choice).await, ..reply }
                    }
                    None => Choice::Deny.into(),
                }
            }
        }
    }

    /// One flow after the other.
    async fn each(&mut self, prompt: &Prompt) -> Reply {
        let mut only = Vec::new();
        let places = (0_u32..).zip(std::iter::once(&prompt.flow).chain(&prompt.others));
        for (place, flow) in places {
            if self.yes(&format!("  {}", show::one_of(place, flow))).await {
                only.push(place);
            }
        }
        if only.is_empty() { Choice::Deny.into() } else { Reply { only: Some(only), ..Choice::Once.into() } }
    }

    /// How far a yes for longer is to reach.
    async fn width(&mut self, prompt: &Prompt, choice: Choice) -> Option<Width> {
        let longer = matches!(choice, Choice::Session | Choice::Always);
        if !longer || prompt.widths.len() < 2 {
            return None;
        }
        let widths = prompt.widths.clone();
        let limit = Duration::from_millis(prompt.limit_ms);
        key(show::widths(&prompt.widths), limit, move |key| {
            let place = key.to_digit(10).and_then(|number| usize::try_from(number).ok())?.checked_sub(1)?;
            widths.get(place).cloned()
        })
        .await
    }

    /// Which app the person wants, of a choice that is on the screen; nothing, if nobody says so in time. Escape, and
    /// the end of a pipe, mean none of them.
    pub async fn pick(&mut self, choice: &AppChoice) -> Option<Pick> {
        let limit = Duration::from_millis(choice.limit_ms);
        let offered = choice.clone();
        match self {
            Keys::Pipe(lines) => {
                let answer = async {
                    while let Some(line) = lines.recv().await {
                        if let Some(pick) = picked(&line, &offered) {
                            return pick;
                        }
                    }
                    Pick::NoneOfThem
                };
                tokio::time::timeout(limit, answer).await.ok()
            }
            Keys::Terminal => {
                let begun = Instant::now();
                let question = show::choose(choice);
                match key(question, limit, move |key| picked(&key.to_string(), &offered)).await {
                    Some(Pick::App { app, .. }) => {
                        let keep = self.yes(&format!("always use {app} for this?")).await;
                        Some(Pick::App { app, keep })
                    }
                    Some(Pick::NoneOfThem) => Some(Pick::NoneOfThem),
                    None => (begun.elapsed() < limit).then_some(Pick::NoneOfThem),
                }
            }
        }
    }

    /// A yes to a question of ours; nothing but `y` is one.
    pub async fn yes(&mut self, question: &str) -> bool {
        match self {
            Keys::Pipe(_) => false,
            Keys::Terminal => {
                let answer =
                    key(format!("{question} [y/N] "), Duration::from_secs(60), |key| Some(key == 'y'));
                answer.await.unwrap_or(false)
            }
        }
    }
}

/// Waits for a key that means something. Escape, Ctrl-C and Ctrl-D mean nothing was chosen. Dropping it gives the
/// terminal back.
async fn key<R: Send + 'static>(
    question: String,
    limit: Duration,
    meaning: impl Fn(char) -> Option<R> + Send + 'static,
) -> Option<R> {
    let wanted = Arc::new(AtomicBool::new(true));
    let (done, ended) = std::sync::mpsc::sync_channel::<()>(1);
    let _reader = Reader { wanted: Arc::clone(&wanted), ended };
    let read = tokio::task::spawn_blocking(move || {
        // Dropped when the terminal has been given back.
        let _done = done;
        let mut out = std::io::stderr();
        let _ = write!(out, "{question}").and_then(|()| out.flush());
        let raw = Raw::new()?;
        let found = look(&wanted, limit, meaning);
        drop(raw);
        let _ = writeln!(out);
        found
    });
    read.await.ok().flatten()
}

/// Reads keys until one means something, the time is up, or nobody waits any more.
fn look<R>(wanted: &AtomicBool, limit: Duration, meaning: impl Fn(char) -> Option<R>) -> Option<R> {
    let until = Instant::now().checked_add(limit)?;
    while wanted.load(Ordering::Relaxed) && Instant::now() < until {
        if !event::poll(POLL).ok()? {
            continue;
        }
        let Event::Key(key) = event::read().ok()? else { continue };
        let letter = match key.code {
            _ if key.kind == KeyEventKind::Release => continue,
            KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => return None,
            KeyCode::Esc => return None,
            KeyCode::Char(letter) => letter.to_ascii_lowercase(),
            KeyCode::Enter => '\n',
            _ => continue,
        };
        if let Some(found) = meaning(letter) {
            return Some(found);
        }
    }
    None
}

/// The thread that reads keys. Dropping this tells it that nobody waits any more, and waits until the terminal is as it
/// was: what is printed next must not meet a terminal in raw mode.
struct Reader {
    wanted: Arc<AtomicBool>,
    ended: std::sync::mpsc::Receiver<()>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.wanted.store(false, Ordering::Relaxed);
        let _ = self.ended.recv_timeout(POLL.saturating_mul(4));
    }
}

/// The terminal gives single keys, as long as this lives.
struct Raw;

impl Raw {
    fn new() -> Option<Self> {
        terminal::enable_raw_mode().ok().map(|()| Raw)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = terminal::disable_raw_mode();
    }
}
