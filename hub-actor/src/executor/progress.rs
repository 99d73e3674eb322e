//! How far a plan has come.
//!
//! Answers: what is to be done next, now that this has happened?
//! Never: lets the end of one step, good or bad, keep an independent one from running; lets a step end twice.
//! Carries: I-18, I-17.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bus::id::StepId;
use bus::message::task::{Failure, FailureCode};
use serde_json::Value;

use crate::inquiry::Course;
use crate::permission::label::{Label, Labels};
use crate::plan::graph::{End, ahead, blocked, calls_the_same, ready};
use crate::plan::{Derivation, Derived, Plan, Resolved, Step, derives, resolve};

/// What has happened.
#[derive(Debug)]
pub enum Event {
    /// A value was extracted, or could not be.
    Derived {
        /// For which step.
        step: StepId,
        /// For which of its arguments.
        at: String,
        /// The value, with what the conversation carried and saw.
        result: Result<Derived, Failure>,
    },
    /// The step's flow was decided.
    Permitted {
        /// Which.
        step: StepId,
        /// With which arguments; or the refusal.
        result: Result<Resolved, Failure>,
    },
    /// The step was carried out.
    Ran {
        /// Which.
        step: StepId,
        /// The value, with what the process carried.
        result: Result<(Value, Labels), Failure>,
    },
}

/// What is to be done.
#[derive(Debug)]
pub enum Effect {
    /// Tell the user that this step began.
    Started(Step),
    /// Extract this value.
    Derive {
        /// For which step.
        step: StepId,
        /// What is wanted.
        derivation: Derivation,
        /// From what.
        source: Value,
        /// What that carries.
        labels: Labels,
    },
    /// Have the flow decided.
    Permit(Step, Resolved),
    /// Carry the step out.
    Run(Step, Resolved),
    /// Tell the user how this step ended.
    Finished(Step, Result<Value, Failure>),
}

/// The state of every step.
pub struct Progress {
    plan: Arc<Plan>,
    begun: BTreeSet<StepId>,
    ended: BTreeMap<StepId, End>,
    /// Values that a step still waits for, and why it cannot have one.
    deriving: BTreeMap<StepId, (usize, Option<Failure>)>,
    /// Steps with all their values, to be asked about when those that call the same have theirs.
    asking: Vec<(Step, Resolved)>,
    /// Steps that were decided, until it is their turn.
    decided: BTreeMap<StepId, (Step, Result<Resolved, Failure>)>,
    /// Steps of which the user was told that they began.
    told: BTreeSet<StepId>,
}

impl Progress {
    /// Nothing has begun.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Self {
        Self {
            plan,
            begun: BTreeSet::new(),
            ended: BTreeMap::new(),
            deriving: BTreeMap::new(),
            asking: Vec::new(),
            decided: BTreeMap::new(),
            told: BTreeSet::new(),
        }
    }

    /// Begins with every step that waits for nothing.
    pub fn begin(&mut self, course: &mut Course) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.go_on(course, &mut effects);
        self.ask(&mut effects);
        effects
    }

    /// Takes in what has happened.
    pub fn on(&mut self, event: Event, course: &mut Course) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Derived { step, at, result } => self.derived(step, at, result, course, &mut effects),
            Event::Permitted { step, result } => {
                if let Some(step) = self.running(&step) {
                    self.decided.insert(step.id.clone(), (step, result));
                    self.go_on(course, &mut effects);
                }
            }
            Event::Ran { step, result } => {
                if let Some(step) = self.running(&step) {
                    self.end(step, result, course, &mut effects);
                }
            }
        }
        self.ask(&mut effects);
        effects
    }

    /// Has the flows decided of which all of a kind have their values: so a person is asked about them in one go.
    fn ask(&mut self, effects: &mut Vec<Effect>) {
        let deriving: Vec<&Step> = self.deriving.keys().filter_map(|step| self.plan.step(step)).collect();
        let (wait, ask): (Vec<_>, Vec<_>) = std::mem::take(&mut self.asking)
            .into_iter()
            .partition(|(step, _)| deriving.iter().any(|other| calls_the_same(other, step)));
        self.asking = wait;
        effects.extend(ask.into_iter().map(|(step, resolved)| Effect::Permit(step, resolved)));
    }

    /// Carries out what was permitted, and ends what was refused, where it has nothing to wait for any more. Did
    /// anything end?
    fn run(&mut self, course: &mut Course, effects: &mut Vec<Effect>) -> bool {
        let due = |step: &Step| step.after.iter().all(|earlier| self.ended.contains_key(earlier));
        let ids: Vec<StepId> =
            self.decided.values().filter(|(step, _)| due(step)).map(|(step, _)| step.id.clone()).collect();
        let mut ended = false;
        for id in ids {
            let Some((step, decided)) = self.decided.remove(&id) else { continue };
            self.tell(&step, effects);
            match decided {
                Ok(resolved) => effects.push(Effect::Run(step, resolved)),
                Err(failure) => {
                    self.note_end(step, Err(failure), course, effects);
                    ended = true;
                }
            }
        }
        ended
    }

    /// Tells that a step began, once.
    fn tell(&mut self, step: &Step, effects: &mut Vec<Effect>) {
        if self.told.insert(step.id.clone()) {
            effects.push(Effect::Started(step.clone()));
        }
    }

    /// The step, if it has begun and not ended.
    fn running(&self, id: &StepId) -> Option<Step> {
        let runs = self.begun.contains(id) && !self.ended.contains_key(id);
        self.plan.step(id).filter(|_| runs).cloned()
    }

    fn derived(
        &mut self,
        id: StepId,
        at: String,
        result: Result<Derived, Failure>,
        course: &mut Course,
        effects: &mut Vec<Effect>,
    ) {
        let Some((left, failed)) = self.deriving.get_mut(&id) else { return };
        *left = left.saturating_sub(1);
        match result {
            Ok(derived) => course.record.derived(id.clone(), at, derived),
            Err(failure) => _ = failed.get_or_insert(failure),
        }
        if 0 < *left {
            return;
        }
        let failed = self.deriving.remove(&id).and_then(|(_, failed)| failed);
        let Some(step) = self.running(&id) else { return };
        match failed {
            Some(failure) => self.end(step, Err(failure), course, effects),
            None => self.resolve(step, course, effects),
        }
    }

    fn resolve(&mut self, step: Step, course: &mut Course, effects: &mut Vec<Effect>) {
        match resolve(&step, &course.record) {
            Ok(resolved) => self.asking.push((step, resolved)),
            Err(unresolved) => {
                let failure = Failure::new(FailureCode::Path, unresolved.to_string());
                self.end(step, Err(failure), course, effects);
            }
        }
    }

    /// A step has ended; those that waited for it go on.
    fn end(
        &mut self,
        step: Step,
        result: Result<(Value, Labels), Failure>,
        course: &mut Course,
        effects: &mut Vec<Effect>,
    ) {
        // A step of a loop may fail before its turn.
        self.tell(&step, effects);
        self.note_end(step, result, course, effects);
        self.go_on(course, effects);
    }

    fn note_end(
        &mut self,
        step: Step,
        result: Result<(Value, Labels), Failure>,
        course: &mut Course,
        effects: &mut Vec<Effect>,
    ) {
        let result = match result {
            Ok((value, labels)) => {
                let labels = labels.with(Label::App(step.app().clone()));
                course.record.finished(step.id.clone(), value.clone(), labels);
                self.ended.insert(step.id.clone(), End::Value);
                Ok(value)
            }
            Err(failure) => {
                self.ended.insert(step.id.clone(), End::Nothing);
                Err(failure)
            }
        };
        effects.push(Effect::Finished(step, result));
    }

    /// Begins what can begin, and ends what can no longer. Steps that end here free others, so it goes round until
    /// nothing changes.
    fn go_on(&mut self, course: &mut Course, effects: &mut Vec<Effect>) {
        let plan = Arc::clone(&self.plan);
        loop {
            let ended = self.run(course, effects);
            let stuck: Vec<(Step, StepId)> = blocked(&plan, &self.begun, &self.ended)
                .into_iter()
                .map(|(step, lacks)| (step.clone(), lacks))
                .collect();
            let mut able: VecDeque<Step> =
                ready(&plan, &self.begun, &self.ended).into_iter().cloned().collect();
            if stuck.is_empty() && able.is_empty() && !ended {
                break;
            }
            for (step, lacks) in stuck {
                let detail = format!("it needs the result of step {lacks}, which has none");
                let failure = Failure::new(FailureCode::Dependency, detail);
                self.begun.insert(step.id.clone());
                self.note_end(step, Err(failure), course, effects);
            }
            while let Some(step) = able.pop_front() {
                self.begun.insert(step.id.clone());
                self.tell(&step, effects);
                self.start(step, course, effects);
            }
        }
        let early: Vec<Step> = ahead(&plan, &self.begun, &self.ended).into_iter().cloned().collect();
        for step in early {
            self.begun.insert(step.id.clone());
            self.start(step, course, effects);
        }
    }

    fn start(&mut self, step: Step, course: &mut Course, effects: &mut Vec<Effect>) {
        let derivations = derives(&step);
        let mut wanted = Vec::with_capacity(derivations.len());
        for derivation in derivations {
            match course.record.result(&derivation.step) {
                Some(source) => wanted.push((derivation, source.clone())),
                None => {
                    let detail = format!("step {} has no result", derivation.step);
                    self.note_end(step, Err(Failure::new(FailureCode::Dependency, detail)), course, effects);
                    return;
                }
            }
        }
        if wanted.is_empty() {
            match resolve(&step, &course.record) {
                Ok(resolved) => self.asking.push((step, resolved)),
                Err(unresolved) => {
                    let failure = Failure::new(FailureCode::Path, unresolved.to_string());
                    self.note_end(step, Err(failure), course, effects);
                }
            }
            return;
        }
        self.deriving.insert(step.id.clone(), (wanted.len(), None));
        for (derivation, source) in wanted {
            let step = step.id.clone();
            effects.push(Effect::Derive { step, derivation, source: source.value, labels: source.labels });
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
