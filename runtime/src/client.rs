//! A person's place on the bus.
//!
//! Answers: how is a query asked, its prompts answered, its answer had?
//! Never: waits for ever: a silent hub is given up on.
//! Carries: I-02.

use std::time::Duration;

use bus::client::{Address, Bus, BusError, Inbound, WhenLost};
use bus::id::{SessionId, UserId, WorkId};
use bus::identity::Credential;
use bus::limits;
use bus::message::user::{
    Accepted, Admin, AdminReply, CancelQuery, Choice, Consent, Event, Happening, Prompt, Query,
};
use bus::subject::{Leaf, Op, Subject, inbox, pattern};
use serde_json::Value;

use crate::error::Error;

/// The hub says every second that it works; after this much silence it is gone.
const SILENCE: Duration = limits::SILENCE.saturating_mul(2);

/// Memory of many apps takes the hub a moment to read.
const ADMIN: Duration = limits::PROMPT_REPLY.saturating_mul(2);

/// A connection as one user.
#[derive(Clone, Debug)]
pub struct Client {
    bus: Bus,
    user: UserId,
}

/// A query to be asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// The conversation.
    pub session: SessionId,
    /// The words.
    pub text: String,
    /// Will prompts be answered?
    pub attended: bool,
    /// Private mode?
    pub private: bool,
    /// A new plan for an earlier query.
    pub replan_of: Option<WorkId>,
}

/// A query that is being worked on.
pub struct Asked {
    client: Client,
    id: WorkId,
    inbound: Inbound,
}

/// What is heard of a query.
#[derive(Debug)]
pub enum Heard {
    /// Something happened.
    Happening(Happening),
    /// Somebody must answer.
    Prompt(Box<Prompt>),
}

impl Client {
    /// Comes on the bus as that user.
    ///
    /// # Errors
    /// If the broker cannot be reached or does not accept the credential.
    pub async fn connect(address: &Address, credential: &Credential, user: UserId) -> Result<Self, Error> {
        let inbox = inbox::user(&user);
        let bus = Bus::connect(address, credential, "client", &inbox, None, WhenLost::Reconnect).await?;
        Ok(Self { bus, user })
    }

    /// Asks a query.
    ///
    /// # Errors
    /// If the hub is not there or does not take it.
    pub async fn ask(&self, question: Question) -> Result<Asked, Error> {
        if limits::MAX_QUERY < question.text.len() {
            let (have, max) = (question.text.len(), limits::MAX_QUERY);
            return Err(Error::usage(format!("the query has {have} bytes, more than the {max} allowed")));
        }
        let inbound = self.bus.subscribe(&pattern::user_in(&self.user)).await?;
        let Question { session, text, attended, private, replan_of } = question;
        let query = Query { id: WorkId::fresh(), session, text, attended, private, replan_of };
        let id = query.id.clone();
        let accepted: Accepted = self.request(Op::QUERY, &query, Some(&id), limits::PROMPT_REPLY).await?;
        accepted.result.map_err(|why| Error::failed(format!("the hub did not take the query: {why}")))?;
        Ok(Asked { client: self.clone(), id, inbound })
    }

    /// Asks for something to be shown or changed.
    ///
    /// # Errors
    /// If the hub is not there, or says what is wrong.
    pub async fn admin(&self, what: &Admin) -> Result<Value, Error> {
        let reply: AdminReply = self.request(Op::ADMIN, what, None, ADMIN).await?;
        reply.result.map_err(Error::failed)
    }

    async fn request<M: bus::envelope::Message, R: bus::envelope::Message>(
        &self,
        op: Op,
        message: &M,
        work: Option<&WorkId>,
        limit: Duration,
    ) -> Result<R, Error> {
        let subject = Subject::UserOut { user: self.user.clone(), op };
        self.bus.request(&subject, message, work, limit).await.map_err(|error| match error {
            BusError::NoResponder(_) | BusError::Timeout { .. } => Error::failed("the hub does not answer")
                .because(error)
                .hint("its log is in the state folder, log/hub.log"),
            other => other.into(),
        })
    }
}

impl Asked {
    /// Names the query.
    #[must_use]
    pub fn id(&self) -> &WorkId {
        &self.id
    }

    /// What happens next with this query.
    ///
    /// # Errors
    /// If nothing is heard of the hub for long.
    pub async fn next(&mut self) -> Result<Heard, Error> {
        let silent = || {
            Error::failed(format!("nothing was heard of the hub for {} s", SILENCE.as_secs()))
                .hint("ask again; if it was restarted it has forgotten the query")
        };
        // The deadline is for a word about this query; words about others do not count.
        let heard = tokio::time::timeout(SILENCE, async {
            loop {
                let incoming = self.inbound.next().await?;
                let Subject::UserIn { leaf, .. } = &incoming.subject else { continue };
                match leaf {
                    Leaf::Event(_) => match self.client.bus.body::<Event>(&incoming).await {
                        Some(event) if event.query == self.id => return Some(Heard::Happening(event.what)),
                        _ => {}
                    },
                    Leaf::Prompt => match self.client.bus.body::<Prompt>(&incoming).await {
                        Some(prompt) if prompt.query == self.id => {
                            return Some(Heard::Prompt(Box::new(prompt)));
                        }
                        _ => {}
                    },
                    _ => {}
                }
            }
        });
        match heard.await {
            Ok(Some(heard)) => Ok(heard),
            Ok(None) => Err(Error::failed("the connection to the bus was closed")),
            Err(_) => Err(silent()),
        }
    }

    /// Answers a prompt.
    ///
    /// # Errors
    /// If the connection is closed.
    pub async fn answer(&self, prompt: &Prompt, choice: Choice) -> Result<(), Error> {
        let consent = Consent { prompt: prompt.id.clone(), choice };
        self.say(Op::CONSENT, &consent).await
    }

    /// Has the work stopped.
    ///
    /// # Errors
    /// If the connection is closed.
    pub async fn cancel(&self) -> Result<(), Error> {
        self.say(Op::CANCEL, &CancelQuery { query: self.id.clone() }).await
    }

    async fn say<M: bus::envelope::Message>(&self, op: Op, message: &M) -> Result<(), Error> {
        let subject = Subject::UserOut { user: self.client.user.clone(), op };
        Ok(self.client.bus.publish(&subject, message, Some(&self.id)).await?)
    }
}
