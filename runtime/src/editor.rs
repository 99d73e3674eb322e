//! Line editing at a terminal.
//!
//! Answers: which line did the person type?
//! Never: holds the terminal while nobody asks for a line.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::mpsc;

use reedline::{
    FileBackedHistory, Prompt, PromptEditMode, PromptHistorySearch, PromptHistorySearchStatus, Reedline,
    Signal,
};
use tokio::sync::oneshot;

/// Lines that are kept between chats.
const HISTORY: usize = 1000;

/// What came.
#[derive(Debug)]
pub enum Line {
    /// A line.
    Text(String),
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D, or the terminal is gone.
    End,
}

/// An editor on a thread of its own, because it blocks while the person thinks.
pub struct Editor {
    ask: mpsc::Sender<(String, oneshot::Sender<Line>)>,
}

impl Editor {
    /// Starts one whose history is in that file.
    #[must_use]
    pub fn start(history: PathBuf) -> Self {
        let (ask, asked) = mpsc::channel::<(String, oneshot::Sender<Line>)>();
        std::thread::spawn(move || {
            let mut editor = Reedline::create();
            // Without a history file the editor still edits.
            if let Ok(history) = FileBackedHistory::with_file(HISTORY, history) {
                editor = editor.with_history(Box::new(history));
            }
            for (words, answer) in asked {
                let line = match editor.read_line(&Words(words)) {
                    Ok(Signal::Success(text)) => Line::Text(text),
                    Ok(Signal::CtrlC) => Line::Interrupt,
                    _ => Line::End,
                };
                // Refused only when nobody waits any more.
                let _ = answer.send(line);
            }
        });
        Self { ask }
    }

    /// The next line.
    pub async fn line(&mut self, words: &str) -> Line {
        let (answer, answered) = oneshot::channel();
        if self.ask.send((words.to_owned(), answer)).is_err() {
            return Line::End;
        }
        answered.await.unwrap_or(Line::End)
    }
}

/// A prompt of a few words.
struct Words(String);

impl Prompt for Words {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0)
    }
    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }
    fn render_prompt_indicator(&self, _mode: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed("")
    }
    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed("… ")
    }
    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        let failing = match search.status {
            PromptHistorySearchStatus::Passing => "",
            PromptHistorySearchStatus::Failing => "nothing found: ",
        };
        Cow::Owned(format!("({failing}search {}) ", search.term))
    }
}
