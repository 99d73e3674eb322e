//! A person and the hub: `secgpt.user.<user>.out.{query,consent,cancel,admin}` and `…in.{event.<session>,prompt}`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::envelope::Message;
use crate::id::{AppId, FunctionName, Functionality, SessionId, StepId, WorkId};

/// A question. Answered at once by [`Accepted`]; what follows comes as [`Event`]s on the session's subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Query {
    /// Chosen by the client; names the query in events.
    pub id: WorkId,
    /// The conversation that it belongs to.
    pub session: SessionId,
    /// The words.
    pub text: String,
    /// Is somebody there to answer prompts? If not, what would ask is refused without a prompt.
    pub attended: bool,
    /// Private mode: nothing kept, nothing stored offered.
    pub private: bool,
    /// A new plan for an earlier query of this session in which something was refused.
    pub replan_of: Option<WorkId>,
}

impl Message for Query {
    const KIND: &'static str = "query";
}

/// The hub works on it, or says why not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// For people.
    pub result: Result<(), String>,
}

impl Message for Accepted {
    const KIND: &'static str = "accepted";
}

/// Something happened with a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Which query.
    pub query: WorkId,
    /// What.
    pub what: Happening,
}

impl Message for Event {
    const KIND: &'static str = "event";
}

/// What can happen with a query. `Answered` is the last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// The planner was asked.
    Planning,
    /// This is the plan.
    Planned {
        /// As in the outcome.
        plan: Value,
    },
    /// A step began.
    StepStarted {
        /// Which.
        step: StepId,
        /// What it calls, `<app>.<functionality>`, or the app it is delegated to.
        what: String,
    },
    /// A step came to its end.
    StepFinished {
        /// Which.
        step: StepId,
        /// Its value, or one sentence on why there is none.
        result: Result<Value, String>,
    },
    /// A prompt is open.
    Waiting {
        /// Which.
        prompt: WorkId,
    },
    /// Several apps can do it and the user named none. Answered with [`Admin::Choose`]; without an answer in time it is
    /// done as planned.
    Choosing(Box<AppChoice>),
    /// A piece of the answer.
    Token {
        /// The piece.
        text: String,
    },
    /// Nothing new, but work goes on. Sent once a second.
    Alive,
    /// The end.
    Answered(Box<Outcome>),
}

/// What came of a query; the object that `ask --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// For the user.
    pub answer: Option<String>,
    /// The conversation.
    pub session: SessionId,
    /// How it ended.
    pub outcome: Ending,
    /// The plan, `{"steps": […]}`.
    pub plan: Value,
    /// What each step returned, under its app's name.
    pub results: Vec<StepResult>,
    /// Every flow and its decision, in order.
    pub flows: Vec<Flow>,
    /// Where several apps could do it and the user named none: which did, and who chose.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub choices: Vec<Chosen>,
    /// Figures, addresses and names of the answer that stand in no result and not in the query. The model that put the
    /// results together made them, or converted them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unsupported: Vec<String>,
    /// Calls of the model: `planner`, `spokes`.
    pub model_calls: BTreeMap<String, u64>,
    /// Prompts shown.
    pub prompts: u64,
    /// From receipt to answer.
    pub elapsed_ms: u64,
    /// What went wrong, in a sentence.
    pub error: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
    /// What the user should know about the model that answered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub model: Option<String>,
}

/// How a query ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// With an answer.
    Answered,
    /// A refusal kept it from being answered.
    Refused,
    /// An error kept it from being answered.
    Failed,
}

/// What a step returned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepResult {
    /// Which step.
    pub step: StepId,
    /// Whose word it is.
    pub app: String,
    /// `<app>.<functionality>`; the app alone for a delegate.
    pub functionality: String,
    /// The value, absent if there is none.
    pub value: Value,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
}

/// Which of several apps shall do it? To every client of the user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppChoice {
    /// Names it in [`Admin::Choose`].
    pub id: WorkId,
    /// With which arguments, as planned; of the first step that is meant.
    pub args: Value,
    /// The planned app first, the others by name.
    pub offers: Vec<AppOffer>,
    /// How long there is, milliseconds; then it is done as planned.
    pub limit_ms: u64,
}

/// An app that could do it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppOffer {
    /// Which.
    pub app: AppId,
    /// What of it would be used.
    pub functionalities: Vec<Offered>,
}

/// A functionality of an app that is offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// Its name within the app.
    pub name: FunctionName,
    /// What it does to the world.
    pub effect: Effect,
    /// The vetted line about it, if there is one. Never the app's own prose.
    pub summary: Option<String>,
}

/// What became of a choice between apps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// What was to be done: names within an app.
    pub functionalities: Vec<FunctionName>,
    /// Who could have done it, as offered.
    pub offered: Vec<AppId>,
    /// Who did; nobody, if the user wanted none of them.
    pub app: Option<AppId>,
    /// Who chose: `user`, `session` (the user, earlier), `default`, `unattended` or `timeout` (as planned).
    pub by: String,
    /// Is it the default from now on?
    pub kept: bool,
}

/// A movement of data from one subject to another, and what was decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// `plan`, or the app that asks.
    pub from: String,
    /// `<app>.<functionality>`; the app alone for a delegate.
    pub to: String,
    /// With which arguments.
    pub args: Value,
    /// Where the data comes from: `user`, `app:<app>`, `web:<host>`, `memory:<entry>`.
    pub labels: Vec<String>,
    /// Is it a step of the plan, as planned?
    pub expected: bool,
    /// `read`, `write` or `irreversible`.
    pub effect: Effect,
    /// `exec`, `data` or `collab`.
    pub category: Category,
    /// What was decided.
    pub decision: Verdict,
    /// Who decided: `policy:<rule>`, `grant:<id>`, `user`, `timeout`.
    pub by: String,
    /// In a sentence.
    pub reason: String,
    /// Of which step of the plan, if of one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub step: Option<StepId>,
    /// Who receives, by the arguments that the manifest marks as destinations.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub receivers: Vec<Receiver>,
    /// Does every other argument stand in the user's words, in the plan, or in a field of a result?
    #[serde(skip_serializing_if = "Clone::clone", default = "yes")]
    pub accounted: bool,
}

fn yes() -> bool {
    true
}

/// Who receives, and where that comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receiver {
    /// The argument.
    pub parameter: String,
    /// Whom it names.
    pub value: String,
    /// Who named it.
    pub whence: Named,
    /// Where it was taken from, as labels are written; empty unless it is from a step or an app.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub sources: Vec<String>,
}

/// Who named a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Named {
    /// The user: it stands in the user's words.
    User,
    /// The planner, and it does not stand there.
    Planner,
    /// An earlier step returned it.
    Step,
    /// The app that asks.
    App,
}

/// What a functionality does to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing changes.
    Read,
    /// Something changes that can be changed back.
    Write,
    /// Cannot be undone.
    Irreversible,
}

/// The reference's categories of permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Run an app.
    Exec,
    /// Stored user data to an app.
    Data,
    /// An app's output to another.
    Collab,
}

/// What became of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It went through.
    Allow,
    /// It is still being asked.
    Ask,
    /// It did not.
    Deny,
}

/// Who wants to send what to whom, and why is it asked? Hub to every client of the user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prompt {
    /// Names it in [`Consent`].
    pub id: WorkId,
    /// Of which query.
    pub query: WorkId,
    /// Of which conversation.
    pub session: SessionId,
    /// The flow; its decision is `ask`.
    pub flow: Flow,
    /// More flows of the same kind that are asked about together with it: of the same sender, to the same receiver, for the
    /// same reason.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub others: Vec<Flow>,
    /// What differs from the plan, if anything does. Such a prompt carries a warning.
    pub warning: Option<String>,
    /// Why the app asks, in the app's own words; not to be trusted.
    pub apps_words: Option<String>,
    /// What may be answered.
    pub offers: Vec<Choice>,
    /// How far a yes for the session or for always may reach, narrowest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub widths: Vec<Width>,
    /// How long there is, milliseconds; then it counts as denied.
    pub limit_ms: u64,
}

impl Message for Prompt {
    const KIND: &'static str = "prompt";
}

/// What a person may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// This one flow.
    Once,
    /// Such flows, to the end of the session.
    Session,
    /// Such flows, until revoked. Never offered for what cannot be undone.
    Always,
    /// Not this one.
    Deny,
}

/// To whom a yes that holds for more than once reaches.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Width {
    /// To the receivers that were shown.
    Shown,
    /// To any address at this domain.
    Domain(String),
    /// To anybody.
    Anybody,
}

/// An answer to a prompt. The first one counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Consent {
    /// Which prompt.
    pub prompt: WorkId,
    /// The answer.
    pub choice: Choice,
    /// Of several flows, those that a yes is meant for, by their place from 0; the rest is refused. All, if absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub only: Option<Vec<u32>>,
    /// How far the yes reaches; to the receivers that were shown, if absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub width: Option<Width>,
    /// For how many days an "always" is meant; until it is revoked, if absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub days: Option<u32>,
}

impl Consent {
    /// The same for all that the prompt asks about, as narrow as can be.
    #[must_use]
    pub fn new(prompt: WorkId, choice: Choice) -> Self {
        Self { prompt, choice, only: None, width: None, days: None }
    }
}

impl Message for Consent {
    const KIND: &'static str = "consent";
    const MAX: usize = 4 << 10;
}

/// Stop working on a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CancelQuery {
    /// Which.
    pub query: WorkId,
}

impl Message for CancelQuery {
    const KIND: &'static str = "cancel-query";
}

/// Something to show or change for this user. Answered by [`AdminReply`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admin {
    /// All grants of this user.
    Grants,
    /// Take one back.
    Revoke {
        /// Its id, as listed.
        grant: String,
    },
    /// Have one that was given for always end after so many days from now.
    Expire {
        /// Its id, as listed.
        grant: String,
        /// Days, at least one.
        days: u32,
    },
    /// What is remembered, of one app or all.
    Memory {
        /// Which app; none for all.
        app: Option<AppId>,
    },
    /// Forget it.
    Forget {
        /// Which app; none for all.
        app: Option<AppId>,
    },
    /// The apps that the hub knows, with what each offers.
    Apps,
    /// Look at the apps' folders again; answered as [`Admin::Apps`].
    TakeUp,
    /// An answer to [`Happening::Choosing`]. The first one counts.
    Choose {
        /// Which choice.
        choice: WorkId,
        /// One of those offered; none of them, if absent.
        app: Option<AppId>,
        /// Is it to be the default from now on?
        keep: bool,
    },
    /// Is this query being worked on? Asked by a client that has heard nothing for a while.
    Working {
        /// Which.
        query: WorkId,
    },
    /// Which app does what, where several can and the user names none.
    Defaults,
    /// From now on this app does it.
    SetDefault {
        /// Which functionality of which app.
        functionality: Functionality,
    },
    /// The user is asked again.
    ClearDefault {
        /// The functionality's name within an app.
        name: FunctionName,
    },
    /// Is the hub there, and with how many hosts?
    Status,
    /// How often this user was asked, and about what.
    Stats,
}

impl Message for Admin {
    const KIND: &'static str = "admin";
    const MAX: usize = 4 << 10;
}

/// What was asked for, as JSON; or what is wrong, in a sentence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdminReply {
    /// The answer.
    pub result: Result<Value, String>,
}

impl Message for AdminReply {
    const KIND: &'static str = "admin-reply";
}
