//! A person's place on the bus.
//!
//! Answers: how is a query asked, its prompts answered, its answer had?
//! Never: waits for ever: a silent hub is given up on.
//! Carries: I-02.

use std::time::{Duration, Instant};

use bus::client::{Address, Bus, BusError, Inbound, WhenLost};
use bus::id::{SessionId, UserId, WorkId};
use bus::identity::Credential;
use bus::limits;
use bus::message::user::{
    Accepted, Admin, AdminReply, CancelQuery, Consent, Event, Happening, Prompt, Query,
};
use bus::subject::{Leaf, Op, Subject, inbox, pattern};
use serde_json::Value;

use crate::consent::Reply;
use crate::error::Error;

/// The hub says every second that it works; after this much silence it is gone, whatever it seems to be.
const SILENCE: Duration = limits::SILENCE.saturating_mul(2);

/// After this much silence it is asked whether it still works on the query.
const DOUBT: Duration = Duration::from_millis(1500);

/// How long the end of a query that is no longer worked on may still be on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

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
    /// Was the connection lost meanwhile? Then the end of the query may have been missed, and is said again.
    outage: bool,
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
        Ok(Asked { client: self.clone(), id, inbound, outage: false })
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

/// What is known of a silent hub.
enum Doubt {
    /// It works on the query, or has much to do.
    None,
    /// It is not there.
    NoHub,
    /// It has been restarted, or has said the end.
    Forgotten,
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
    /// If the hub is gone, has forgotten the query, or is not heard of for long.
    pub async fn next(&mut self) -> Result<Heard, Error> {
        let begun = Instant::now();
        let mut patience = DOUBT;
        loop {
            if let Some(heard) = self.within(patience).await? {
                return Ok(heard);
            }
            let gone = |why: String| {
                let hint = "ask again; if it was restarted it has forgotten the query";
                Err(Error::failed(format!("nothing was heard of the hub{why}")).hint(hint))
            };
            if SILENCE <= begun.elapsed() {
                return gone(format!(" for {} s", SILENCE.as_secs()));
            }
            // After an outage the hub says the end of a query again, for some seconds.
            if self.outage {
                continue;
            }
            let why = match self.doubt().await {
                Doubt::None => continue,
                Doubt::NoHub => ": it is not running",
                Doubt::Forgotten => ": it does not know this query any more",
            };
            // The end may have been said before the hub was asked.
            match self.within(ON_ITS_WAY).await? {
                Some(heard) => return Ok(heard),
                None if self.outage => patience = DOUBT,
                None => return gone(why.to_owned()),
            }
        }
    }

    /// The next word about this query; words about others do not count.
    async fn within(&mut self, limit: Duration) -> Result<Option<Heard>, Error> {
        let until = tokio::time::Instant::now() + limit;
        loop {
            let incoming = tokio::select! {
                biased;
                incoming = self.inbound.next() => incoming,
                () = self.client.bus.lost(), if !self.outage => {
                    self.outage = true;
                    continue;
                }
                () = tokio::time::sleep_until(until) => return Ok(None),
            };
            let closed = || Error::failed("the connection to the bus was closed");
            let incoming = incoming.ok_or_else(closed)?;
            let Subject::UserIn { leaf, .. } = &incoming.subject else { continue };
            match leaf {
                Leaf::Event(_) => match self.client.bus.body::<Event>(&incoming).await {
                    Some(event) if event.query == self.id => return Ok(Some(Heard::Happening(event.what))),
                    _ => {}
                },
                Leaf::Prompt => match self.client.bus.body::<Prompt>(&incoming).await {
                    Some(prompt) if prompt.query == self.id => {
                        return Ok(Some(Heard::Prompt(Box::new(prompt))));
                    }
                    _ => {}
                },
                _ => {}
            }
        }
    }

    /// Does the hub still work on it? A hub that does not answer may have much to do; one that is not there is known
    /// at once, from the broker.
    async fn doubt(&self) -> Doubt {
        let subject = Subject::UserOut { user: self.client.user.clone(), op: Op::ADMIN };
        let asked = Admin::Working { query: self.id.clone() };
        let reply: Result<AdminReply, BusError> =
            self.client.bus.request(&subject, &asked, None, DOUBT).await;
        match reply {
            Err(BusError::NoResponder(_)) => Doubt::NoHub,
            Ok(AdminReply { result: Ok(told) }) if told.get("working") == Some(&Value::Bool(false)) => {
                Doubt::Forgotten
            }
            Ok(_) | Err(_) => Doubt::None,
        }
    }

    /// Answers a prompt.
    ///
    /// # Errors
    /// If the connection is closed.
    pub async fn answer(&self, prompt: &Prompt, reply: Reply) -> Result<(), Error> {
        let Reply { choice, only, width, days } = reply;
        let consent = Consent { prompt: prompt.id.clone(), choice, only, width, days };
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
