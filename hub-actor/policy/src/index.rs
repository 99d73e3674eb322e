//! Which rules could be about a flow.
//!
//! Answers: which rules hold for this flow, without asking those that name another app?
//! Never: leaves out a rule whose scope the flow fits.
//! Carries: I-07.

use std::collections::HashMap;

use cedar_policy::{
    ActionConstraint, Authorizer, Entities, EntityUid, PolicyId, PolicySet, PrincipalConstraint, Request,
    ResourceConstraint,
};

use crate::request::{Asked, Names};

/// Rules, by what their scopes name. Each lies in one place; what is asked about a flow are all places that fit it.
pub struct Index {
    authorizer: Authorizer,
    proceed: Places,
    ask: Places,
}

type Places = HashMap<(Scope, Scope), PolicySet>;

/// What a rule's scope names of principal or resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Scope {
    /// Nothing, or a kind alone.
    Any,
    /// This one, or what is in it.
    Of(EntityUid),
}

/// Which rules hold, by their numbers.
#[derive(Debug, Default)]
pub struct Holding {
    /// Rules that permit, in order.
    pub permits: Vec<usize>,
    /// Rules that forbid, in order; with them those whose condition could not be worked out.
    pub forbids: Vec<usize>,
}

impl Index {
    /// Over these rules, whose ids are their numbers.
    pub fn of(names: &Names, policies: Vec<cedar_policy::Policy>) -> Result<Self, String> {
        let mut index =
            Self { authorizer: Authorizer::new(), proceed: Places::default(), ask: Places::default() };
        for policy in policies {
            let (proceed, ask) = match policy.action_constraint() {
                ActionConstraint::Any => (true, true),
                ActionConstraint::Eq(action) => (action == names.proceed, action == names.ask),
                ActionConstraint::In(actions) => {
                    (actions.contains(&names.proceed), actions.contains(&names.ask))
                }
            };
            let place = (principal(&policy), resource(&policy));
            for (wanted, places) in [(proceed, &mut index.proceed), (ask, &mut index.ask)] {
                if wanted {
                    let set = places.entry(place.clone()).or_default();
                    set.add(policy.clone()).map_err(|error| error.to_string())?;
                }
            }
        }
        Ok(index)
    }

    /// May it proceed?
    pub fn proceed(&self, asked: &Asked) -> Holding {
        self.look(&self.proceed, asked, &asked.proceed)
    }

    /// May a person be asked?
    pub fn ask(&self, asked: &Asked) -> Holding {
        self.look(&self.ask, asked, &asked.ask)
    }

    fn look(&self, places: &Places, asked: &Asked, request: &Request) -> Holding {
        let principals = [Some(Scope::Any), Some(Scope::Of(asked.principal.clone()))];
        let resources =
            [Some(Scope::Any), Some(Scope::Of(asked.resource.clone())), asked.app.clone().map(Scope::Of)];
        let mut holding = Holding::default();
        for principal in principals.iter().flatten() {
            for resource in resources.iter().flatten() {
                if let Some(rules) = places.get(&(principal.clone(), resource.clone())) {
                    self.evaluate(rules, request, &asked.entities, &mut holding);
                }
            }
        }
        holding.permits.sort_unstable();
        holding.forbids.sort_unstable();
        holding
    }

    fn evaluate(&self, rules: &PolicySet, request: &Request, entities: &Entities, holding: &mut Holding) {
        let response = self.authorizer.is_authorized(request, rules, entities);
        let determining = response.diagnostics().reason().filter_map(number);
        match response.decision() {
            cedar_policy::Decision::Allow => holding.permits.extend(determining),
            cedar_policy::Decision::Deny => holding.forbids.extend(determining),
        }
        // Cedar leaves out a rule that it cannot work out. For one that forbids, that would be to permit.
        for error in response.diagnostics().errors() {
            let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
            let forbids = rules
                .policy(error.policy_id())
                .is_none_or(|policy| policy.effect() == cedar_policy::Effect::Forbid);
            if forbids {
                holding.forbids.extend(number(error.policy_id()));
            }
        }
    }
}

fn principal(policy: &cedar_policy::Policy) -> Scope {
    match policy.principal_constraint() {
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => Scope::Any,
        PrincipalConstraint::In(uid) | PrincipalConstraint::Eq(uid) | PrincipalConstraint::IsIn(_, uid) => {
            Scope::Of(uid)
        }
    }
}

fn resource(policy: &cedar_policy::Policy) -> Scope {
    match policy.resource_constraint() {
        ResourceConstraint::Any | ResourceConstraint::Is(_) => Scope::Any,
        ResourceConstraint::In(uid) | ResourceConstraint::Eq(uid) | ResourceConstraint::IsIn(_, uid) => {
            Scope::Of(uid)
        }
    }
}

fn number(id: &PolicyId) -> Option<usize> {
    AsRef::<str>::as_ref(id).parse().ok()
}
