//! How a flow becomes a question.
//!
//! Answers: what exactly is asked, when the plan or an app wants something done?
//! Never: takes an app's word for who it is, what it was given, or whether the plan foresaw it.
//! Carries: I-02, I-05.

use bus::id::{AppId, Functionality, StepId};
use bus::message::isc::{Wanted, Wish};
use bus::message::user::Effect;
use serde_json::{Value, json};

use super::destination;
use super::label::{Label, Labels};
use super::question::{Origin, Question, Target, data_args, pin};
use crate::inquiry::Inquiry;
use crate::memory::text::{Item, labels};
use crate::plan::{Conformance, Flowing, Resolved, Source, Step, StepKind, conformance};
use crate::spokes::book::Caller;

/// A step of the plan is to be carried out. Counts the step as used.
#[must_use]
pub fn of_step(inquiry: &Inquiry, step: &Step, resolved: &Resolved) -> Question {
    let to = match &step.kind {
        StepKind::Call { functionality, .. } => Target::Functionality(functionality.clone()),
        StepKind::Delegate { app, .. } => Target::App(app.clone()),
    };
    let conformance = inquiry.course(|course| {
        let flowing = Flowing::Step { step: &step.id, args: &resolved.args };
        let conformance = conformance(&course.plan, &course.used, &course.record, flowing);
        course.used.by_plan.insert(step.id.clone());
        conformance
    });
    let asked = Asked {
        from: Origin::Plan,
        to,
        args: resolved.args.clone(),
        labels: resolved.labels.clone(),
        conformance,
        step: Some(step.id.clone()),
    };
    asked.question(inquiry, &resolved.sources)
}

/// An app, given all that `labels` says, asks for a functionality.
#[must_use]
pub fn of_request(
    inquiry: &Inquiry,
    by: &AppId,
    labels: &Labels,
    functionality: &Functionality,
    args: &Value,
    step: Option<StepId>,
) -> Question {
    let effect = inquiry.catalogue.get(functionality).map_or(Effect::Irreversible, |spec| spec.effect);
    let words = inquiry.words();
    let conformance = inquiry.course(|course| {
        let flowing = Flowing::Asked { by, functionality, effect, args, words };
        conformance(&course.plan, &course.used, &course.record, flowing)
    });
    let asked = Asked {
        from: Origin::App(by.clone()),
        to: Target::Functionality(functionality.clone()),
        args: args.clone(),
        labels: labels.clone().with(Label::App(by.clone())),
        conformance,
        step,
    };
    asked.question(inquiry, &[])
}

/// An app asks for stored data, and these items would be given.
#[must_use]
pub fn of_data(inquiry: &Inquiry, to: &AppId, items: &[Item], step: Option<StepId>) -> Question {
    let asked = Asked {
        from: Origin::Memory,
        to: Target::App(to.clone()),
        args: data_args(items),
        labels: labels(items),
        conformance: Conformance::Unexpected { differs: format!("{to} asks for stored data") },
        step,
    };
    asked.question(inquiry, &[])
}

/// An MCP server wants something of its client. No plan foresees that, so it is never as expected.
#[must_use]
pub fn of_wish(inquiry: &Inquiry, caller: &Caller, functionality: Functionality, wish: &Wish) -> Question {
    let app = functionality.app.clone();
    // A yes to one question is not a yes to the next; what a model is asked changes nothing.
    let (effect, differs) = match wish.wanted {
        Wanted::Sampling => (Effect::Read, format!("{app} asks for a turn of its model")),
        Wanted::Elicitation => (Effect::Irreversible, format!("{app} asks you for a yes")),
    };
    let asked = Asked {
        from: Origin::App(app.clone()),
        to: Target::Functionality(functionality),
        args: json!({"words": wish.words}),
        labels: caller.labels.clone().with(Label::App(app)),
        conformance: Conformance::Unexpected { differs },
        step: caller.step.clone(),
    };
    Question { effect, ..asked.question(inquiry, &[]) }
}

struct Asked {
    from: Origin,
    to: Target,
    args: Value,
    labels: Labels,
    conformance: Conformance,
    step: Option<StepId>,
}

impl Asked {
    fn question(self, inquiry: &Inquiry, sources: &[Source]) -> Question {
        let spec = match &self.to {
            Target::Functionality(functionality) => inquiry.catalogue.get(functionality),
            Target::App(_) => None,
        };
        let asked_by = match &self.from {
            Origin::App(app) => Some(app),
            Origin::Plan | Origin::Memory => None,
        };
        let destinations = match spec {
            Some(spec) if !spec.destinations.is_empty() => {
                destination::check(&spec.destinations, &self.args, sources, inquiry.words(), asked_by)
            }
            Some(_) | None => Vec::new(),
        };
        let effect = match (&self.to, spec) {
            (Target::App(_), _) => Effect::Read,
            (Target::Functionality(_), Some(spec)) => spec.effect,
            // What is not in the catalogue is not carried out; should it be asked about, then as the worst.
            (Target::Functionality(_), None) => Effect::Irreversible,
        };
        Question {
            user: inquiry.user.clone(),
            session: inquiry.session.clone(),
            query: inquiry.id.clone(),
            pin: pin(&inquiry.catalogue, &self.from, &self.to),
            from: self.from,
            to: self.to,
            args: self.args,
            labels: self.labels,
            effect,
            conformance: self.conformance,
            destinations,
            sources: sources.to_vec(),
            attended: inquiry.attended,
            step: self.step,
        }
    }
}
