//! Where a plan leaves open which app is to do it.
//!
//! Answers: which other apps could do the very same, and did the user leave it to us?
//! Never: takes an app's or a model's word for what can stand in for what; finds anything open where the user named an
//! app.
//! Carries: I-17.

use std::collections::{BTreeMap, BTreeSet};

use bus::id::{AppId, FunctionName, Functionality, StepId};
use bus::message::user::{AppOffer, Offered};
use serde_json::Value;

use crate::plan::{Plan, Step, StepKind};
use crate::registry::{Catalogue, retrieval};

/// Apps that are offered at once: as many as there are digits to press.
const OFFERED: usize = 9;

/// Something that several apps could do, and the plan gives to one.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenChoice {
    /// The app of the plan.
    pub planned: AppId,
    /// What the plan uses of it. A stand-in offers all of it, as what one step finds another may use.
    pub names: BTreeSet<FunctionName>,
    /// The planned app first, the others by name; at least two, at most nine.
    pub apps: Vec<AppId>,
    /// The arguments of the first step that is meant, as planned.
    pub args: Value,
}

/// All that the plan leaves open. Nothing is, for an app that
///
/// * the user names, or whose stand-ins the user names: then the plan says what was asked for,
/// * shares its work with a stand-in in this very plan: then it is a comparison,
/// * works by its own model: no two apps are known to do the same in words.
///
/// What was refused in an earlier plan of the query does not come back as a stand-in.
#[must_use]
pub fn open(plan: &Plan, catalogue: &Catalogue, query: &str, refused: &[String]) -> Vec<OpenChoice> {
    let mut steps: BTreeMap<&AppId, Vec<&Step>> = BTreeMap::new();
    plan.steps.iter().for_each(|step| steps.entry(step.app()).or_default().push(step));
    let used: BTreeSet<&StepId> = plan.steps.iter().flat_map(|step| &step.needs).collect();
    let mut open: Vec<OpenChoice> = Vec::new();
    for app in plan.steps.iter().map(Step::app) {
        if open.iter().any(|choice| choice.planned == *app) {
            continue;
        }
        let Some(calls) = steps.get(app).and_then(|steps| calls(steps)) else { continue };
        let others: Vec<&AppId> = catalogue
            .apps()
            .map(|manifest| &manifest.app)
            .filter(|other| *other != app && calls.iter().all(|call| call.fits(other, catalogue, &used)))
            .collect();
        let left_to_us =
            ![app].into_iter().chain(others.iter().copied()).any(|app| retrieval::names(query, app))
                && !others.iter().any(|other| steps.contains_key(other));
        let apps: Vec<AppId> = [app]
            .into_iter()
            .chain(
                others.into_iter().filter(|other| !calls.iter().any(|call| call.was_refused(other, refused))),
            )
            .take(OFFERED)
            .cloned()
            .collect();
        if left_to_us && 1 < apps.len() {
            open.push(OpenChoice {
                planned: app.clone(),
                names: calls.iter().map(|call| call.functionality.name.clone()).collect(),
                apps,
                args: calls.first().map_or(Value::Null, |call| call.args.clone()),
            });
        }
    }
    open
}

impl OpenChoice {
    /// As the user sees it.
    #[must_use]
    pub fn offers(&self, catalogue: &Catalogue) -> Vec<AppOffer> {
        let offered = |app: &AppId, name: &FunctionName| {
            let spec = catalogue.get(&Functionality { app: app.clone(), name: name.clone() })?;
            Some(Offered { name: name.clone(), effect: spec.effect, summary: spec.summary.clone() })
        };
        let offer = |app: &AppId| AppOffer {
            app: app.clone(),
            functionalities: self.names.iter().filter_map(|name| offered(app, name)).collect(),
        };
        self.apps.iter().map(offer).collect()
    }

    /// What was chosen before, if it was one app for all of this, and one that is offered now.
    #[must_use]
    pub fn chosen_before(&self, before: &BTreeMap<FunctionName, AppId>) -> Option<AppId> {
        let mut apps = self.names.iter().map(|name| before.get(name));
        let first = apps.next()??;
        (apps.all(|app| app == Some(first)) && self.apps.contains(first)).then(|| first.clone())
    }

    /// The same plan, with the work done by this app.
    #[must_use]
    pub fn given_to(&self, app: &AppId, mut plan: Plan) -> Plan {
        for step in &mut plan.steps {
            if let StepKind::Call { functionality, .. } = &mut step.kind
                && functionality.app == self.planned
            {
                functionality.app = app.clone();
            }
        }
        plan
    }
}

/// Nothing, if a step is delegated.
fn calls<'a>(steps: &[&'a Step]) -> Option<Vec<Call<'a>>> {
    let call = |step: &&'a Step| match &step.kind {
        StepKind::Call { functionality, args } => Some(Call { step, functionality, args }),
        StepKind::Delegate { .. } => None,
    };
    steps.iter().map(call).collect()
}

struct Call<'a> {
    step: &'a Step,
    functionality: &'a Functionality,
    args: &'a Value,
}

impl Call<'_> {
    /// Could the other app do this step as it stands?
    fn fits(&self, other: &AppId, catalogue: &Catalogue, used: &BTreeSet<&StepId>) -> bool {
        let stand_in = Functionality { app: other.clone(), name: self.functionality.name.clone() };
        let (Some(own), Some(theirs)) = (catalogue.get(self.functionality), catalogue.get(&stand_in)) else {
            return false;
        };
        theirs.stands_in_for(own, used.contains(&self.step.id))
            && (!self.step.needs.is_empty() || theirs.check_request(self.args).is_ok())
    }

    fn was_refused(&self, other: &AppId, refused: &[String]) -> bool {
        refused.iter().any(|to| to == other.as_str() || *to == format!("{other}.{}", self.functionality.name))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
