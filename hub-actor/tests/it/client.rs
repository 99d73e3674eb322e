//! A user's client.

use std::cell::RefCell;
use std::rc::Rc;

use bus::acl::Role;
use bus::client::{Bus, Inbound};
use bus::id::{AppId, SessionId, UserId, WorkId};
use bus::message::user::{
    Accepted, Admin, AdminReply, AppChoice, CancelQuery, Choice, Consent, Event, Happening, Outcome, Prompt,
    Query,
};
use bus::subject::{Leaf, Op, Subject, pattern};
use serde_json::Value;

use crate::broker::Broker;
use crate::peers::PATIENCE;

/// What the user answers; nothing means that nobody does.
pub type Answers = Rc<dyn Fn(&Prompt) -> Option<Choice>>;

pub struct Client {
    pub bus: Bus,
    pub user: UserId,
    pub session: SessionId,
    pub prompts: Rc<RefCell<Vec<Prompt>>>,
    inbound: Inbound,
    answers: Answers,
}

impl Client {
    pub async fn join(broker: &Broker, name: &str, answers: Answers) -> Self {
        let user = UserId::parse(name).unwrap();
        let bus = broker.bus(&Role::User(user.clone())).await;
        let inbound = bus.subscribe(&pattern::user_in(&user)).await.unwrap();
        Self { bus, user, session: SessionId::fresh(), prompts: Rc::default(), inbound, answers }
    }

    pub fn out(&self, op: Op) -> Subject {
        Subject::UserOut { user: self.user.clone(), op }
    }

    pub fn query(&self, text: &str) -> Query {
        Query {
            id: WorkId::fresh(),
            session: self.session.clone(),
            text: text.into(),
            attended: true,
            private: false,
            replan_of: None,
        }
    }

    pub async fn send(&self, query: &Query) -> Result<(), String> {
        let accepted: Accepted = self.bus.request(&self.out(Op::QUERY), query, None, PATIENCE).await.unwrap();
        accepted.result
    }

    pub async fn ask(&mut self, text: &str) -> Outcome {
        let query = self.query(text);
        self.ask_with(query).await.0
    }

    /// As [`Client::ask`]; nothing if no hub is heard just now.
    pub async fn try_ask(&mut self, text: &str) -> Option<Outcome> {
        let query = self.query(text);
        let accepted: Result<Accepted, _> =
            self.bus.request(&self.out(Op::QUERY), &query, None, PATIENCE).await;
        accepted.ok()?.result.unwrap();
        Some(self.await_end(&query.id).await.0)
    }

    /// Asks, answers prompts, and returns the outcome with all that happened before.
    pub async fn ask_with(&mut self, query: Query) -> (Outcome, Vec<Happening>) {
        self.send(&query).await.unwrap();
        self.await_end(&query.id).await
    }

    pub async fn await_end(&mut self, query: &WorkId) -> (Outcome, Vec<Happening>) {
        let mut happened = Vec::new();
        loop {
            let message =
                tokio::time::timeout(PATIENCE * 2, self.inbound.next()).await.expect("an event").unwrap();
            match &message.subject {
                Subject::UserIn { leaf: Leaf::Prompt, .. } => {
                    let prompt: Prompt = message.body().unwrap();
                    let answer = (self.answers)(&prompt);
                    let id = prompt.id.clone();
                    self.prompts.borrow_mut().push(prompt);
                    if let Some(choice) = answer {
                        self.consent(id, choice).await;
                    }
                }
                Subject::UserIn { leaf: Leaf::Event(session), .. } if *session == self.session => {
                    let event: Event = message.body().unwrap();
                    if &event.query != query {
                        // The end of an earlier one, said again after an outage.
                        continue;
                    }
                    match event.what {
                        Happening::Answered(outcome) => return (*outcome, happened),
                        what => happened.push(what),
                    }
                }
                _ => {}
            }
        }
    }

    /// The next prompt, unanswered.
    pub async fn next_prompt(&mut self) -> Prompt {
        loop {
            let message =
                tokio::time::timeout(PATIENCE, self.inbound.next()).await.expect("a prompt").unwrap();
            if matches!(message.subject, Subject::UserIn { leaf: Leaf::Prompt, .. }) {
                return message.body().unwrap();
            }
        }
    }

    /// The next choice between apps, unanswered.
    pub async fn next_choice(&mut self) -> AppChoice {
        loop {
            let message =
                tokio::time::timeout(PATIENCE, self.inbound.next()).await.expect("a choice").unwrap();
            if matches!(message.subject, Subject::UserIn { leaf: Leaf::Event(_), .. })
                && let Happening::Choosing(choice) = message.body::<Event>().unwrap().what
            {
                return *choice;
            }
        }
    }

    pub async fn choose(&self, choice: &AppChoice, app: Option<&str>, keep: bool) -> Result<Value, String> {
        let app = app.map(|app| AppId::parse(app).unwrap());
        self.admin(Admin::Choose { choice: choice.id.clone(), app, keep }).await
    }

    pub async fn consent(&self, prompt: WorkId, choice: Choice) {
        self.say(&Consent::new(prompt, choice)).await;
    }

    pub async fn say(&self, consent: &Consent) {
        self.bus.publish(&self.out(Op::CONSENT), consent, None).await.unwrap();
    }

    pub async fn cancel(&self, query: WorkId) {
        self.bus.publish(&self.out(Op::CANCEL), &CancelQuery { query }, None).await.unwrap();
    }

    pub async fn admin(&self, admin: Admin) -> Result<Value, String> {
        let reply: AdminReply =
            self.bus.request(&self.out(Op::ADMIN), &admin, None, PATIENCE * 3).await.unwrap();
        reply.result
    }
}
