//! What a person sees while a query is worked on.
//!
//! Answers: what is shown of each happening?
//! Never: shows a text of an app as it is.

use std::io::Write;

use bus::message::user::{AppChoice, Choice, Happening, Prompt};
use serde_json::Value;

use crate::cli::Global;
use crate::consent::{Pick, Reply};
use crate::show::paint::Paint;
use crate::show::{self, Progress, Quiet, clean};

/// Shows happenings on standard error, and the answer on standard output while it is being written.
pub struct View {
    progress: Progress,
    paint: Paint,
    quiet: bool,
    stream: bool,
    streamed: String,
    steps: Option<Steps>,
}

/// What of each step is written down.
pub type Steps = Box<dyn FnMut(String) + Send>;

impl View {
    /// A view; `stream` if the answer is to be shown while it is being written.
    #[must_use]
    pub fn new(global: &Global, quiet: bool, stream: bool) -> Self {
        Self {
            progress: Progress::new(if quiet { Quiet::Yes } else { Quiet::No }),
            paint: Paint::stderr(global.color),
            quiet,
            stream,
            streamed: String::new(),
            steps: None,
        }
    }

    /// With every step written down besides.
    #[must_use]
    pub fn with_steps(mut self, steps: Steps) -> Self {
        self.steps = Some(steps);
        self
    }

    /// Shows a happening.
    pub fn show(&mut self, happening: &Happening) {
        match happening {
            Happening::Planning => self.progress.say("planning"),
            Happening::Planned { plan } => {
                let steps = plan.get("steps").and_then(Value::as_array).map_or(0, Vec::len);
                self.write_down(format!("plan: {}", clean::line(&plan.to_string(), 2000)));
                self.progress.say(&format!("{steps} steps planned"));
            }
            Happening::StepStarted { step, what } => {
                self.write_down(format!("{step} starts: {}", clean::line(what, 100)));
                self.progress.begin(step.as_str(), what);
            }
            Happening::StepFinished { step, result } => {
                let said = match result {
                    Ok(value) => show::value_line(value, 600),
                    Err(why) => format!("no result: {}", clean::line(why, 600)),
                };
                self.write_down(format!("{step} ends: {said}"));
                self.progress.end(step.as_str());
            }
            Happening::Waiting { .. } => self.progress.say("waiting for your permission"),
            Happening::Token { text } => {
                if self.stream {
                    let text = clean::lines(text);
                    self.progress.clear();
                    let mut out = std::io::stdout().lock();
                    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
                    self.streamed.push_str(&text);
                }
            }
            Happening::Choosing(_) => self.progress.say("waiting for you to choose an app"),
            Happening::Alive | Happening::Answered(_) => {}
        }
    }

    fn write_down(&mut self, line: String) {
        if let Some(steps) = &mut self.steps {
            steps(line);
        }
    }

    /// Shows a prompt; the question follows.
    pub fn prompt(&mut self, prompt: &Prompt) {
        let text = show::prompt(prompt, self.paint, show::columns());
        self.end_line();
        self.progress.aside(|| eprint_all(&format!("\n{text}")));
        self.progress.clear();
    }

    /// Shows a choice between apps; the question follows.
    pub fn choice(&mut self, choice: &AppChoice) {
        let text = show::choice(choice, self.paint, show::columns());
        self.end_line();
        self.progress.aside(|| eprint_all(&format!("\n{text}")));
        self.progress.clear();
    }

    /// Shows which app was picked, by a person or by a rule.
    pub fn picked(&mut self, pick: &Pick) {
        let said = match pick {
            Pick::App { app, keep: true } => format!("{app}, from now on"),
            Pick::App { app, keep: false } => format!("{app}, in this conversation"),
            Pick::NoneOfThem => "none of them".to_owned(),
        };
        self.write_down(format!("choice of an app: {said}"));
        if !self.quiet {
            eprint_all(&format!("  {}\n", self.paint.dim(&said)));
        }
        self.progress = Progress::new(if self.quiet { Quiet::Yes } else { Quiet::No });
    }

    /// Shows what the person chose.
    pub fn chosen(&mut self, reply: &Reply, prompt: &Prompt) {
        let word = match reply.choice {
            Choice::Once => "allowed once",
            Choice::Session => "allowed for this session",
            Choice::Always => "allowed from now on",
            Choice::Deny => "refused",
        };
        let of = match &reply.only {
            Some(only) => format!(", {} of {}", only.len(), prompt.others.len().saturating_add(1)),
            None => String::new(),
        };
        let days = reply.days.map_or(String::new(), |days| format!(", for {days} days"));
        eprint_all(&format!("  {}\n", self.paint.dim(&format!("{word}{days}{of}"))));
        self.progress = Progress::new(if self.quiet { Quiet::Yes } else { Quiet::No });
    }

    /// Shows a prompt that a rule answered.
    pub fn answered(&mut self, prompt: &Prompt, choice: Choice) {
        let said = if choice == Choice::Deny { "refused" } else { "allowed once" };
        let flow = &prompt.flow;
        let warning = prompt
            .warning
            .as_deref()
            .map_or(String::new(), |warning| format!(" — WARNING {}", clean::line(warning, 400)));
        self.write_down(format!(
            "prompt: {} → {} {}{warning}: {said}",
            clean::line(&flow.from, 60),
            clean::line(&flow.to, 120),
            clean::line(&flow.args.to_string(), 600)
        ));
        if !self.quiet {
            let (text, paint) = (show::prompt(prompt, self.paint, show::columns()), self.paint);
            self.end_line();
            self.progress.aside(|| eprint_all(&format!("\n{text}  {}\n", paint.dim(said))));
        }
    }

    /// Says something beside the query.
    pub fn note(&mut self, text: &str) {
        self.end_line();
        let text = format!("{}\n", self.paint.dim(text));
        self.progress.aside(|| eprint_all(&text));
    }

    /// What is being streamed gets its line to itself.
    fn end_line(&mut self) {
        if !self.streamed.is_empty() && !self.streamed.ends_with('\n') {
            self.streamed.push('\n');
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(b"\n").and_then(|()| out.flush());
        }
    }

    /// Takes the progress away; returns what of the answer is on the screen.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.progress.clear();
        self.end_line();
        self.streamed
    }
}

fn eprint_all(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
