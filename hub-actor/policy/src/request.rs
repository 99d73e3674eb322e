//! A flow, as Cedar is asked about it.
//!
//! Answers: how are facts said as principal, action, resource and context?
//! Never: adds a fact of its own.

use std::collections::{BTreeSet, HashSet};
use std::str::FromStr;

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, ParseErrors, Request,
    RestrictedExpression as E,
};

use crate::facts::{Caller, Facts, category, effect};

/// The names of the schema.
#[derive(Clone, Debug)]
pub struct Names {
    pub plan: EntityUid,
    pub memory: EntityUid,
    pub proceed: EntityUid,
    pub ask: EntityUid,
    pub app: EntityTypeName,
    pub functionality: EntityTypeName,
    user: EntityTypeName,
    label: EntityTypeName,
    host: EntityTypeName,
    effect: EntityTypeName,
    category: EntityTypeName,
}

/// What the rules are asked.
pub struct Asked {
    pub principal: EntityUid,
    pub resource: EntityUid,
    /// The app, if the resource is a functionality of it.
    pub app: Option<EntityUid>,
    pub entities: Entities,
    pub proceed: Request,
    pub ask: Request,
}

impl Names {
    /// All of them.
    pub fn new() -> Result<Self, Box<ParseErrors>> {
        Ok(Self {
            plan: EntityUid::from_str("Plan::\"plan\"")?,
            memory: EntityUid::from_str("Memory::\"memory\"")?,
            proceed: EntityUid::from_str("Action::\"proceed\"")?,
            ask: EntityUid::from_str("Action::\"ask\"")?,
            app: EntityTypeName::from_str("App")?,
            functionality: EntityTypeName::from_str("Functionality")?,
            user: EntityTypeName::from_str("User")?,
            label: EntityTypeName::from_str("Label")?,
            host: EntityTypeName::from_str("Host")?,
            effect: EntityTypeName::from_str("Effect")?,
            category: EntityTypeName::from_str("Category")?,
        })
    }

    /// The questions about this flow; `None` if Cedar does not take it, and then nothing permits it.
    pub fn ask(&self, facts: &Facts) -> Option<Asked> {
        let principal = match &facts.from {
            Caller::Plan => self.plan.clone(),
            Caller::Memory => self.memory.clone(),
            Caller::App(app) => uid(&self.app, app.as_str()),
        };
        let app = uid(&self.app, facts.app.as_str());
        let (resource, app) = match facts.function {
            Some(_) => (uid(&self.functionality, &facts.to()), Some(app)),
            None => (app, None),
        };
        let entities = match &app {
            Some(app) => {
                let functionality = Entity::new_no_attrs(resource.clone(), HashSet::from([app.clone()]));
                Entities::from_entities([functionality], None).ok()?
            }
            None => Entities::empty(),
        };
        let context = Context::from_pairs(self.context(facts)?).ok()?;
        let request = |action: &EntityUid, context: Context| {
            Request::new(principal.clone(), action.clone(), resource.clone(), context, None).ok()
        };
        let proceed = request(&self.proceed, context.clone())?;
        let ask = request(&self.ask, context)?;
        Some(Asked { principal, resource, app, entities, proceed, ask })
    }

    fn context(&self, facts: &Facts) -> Option<Vec<(String, E)>> {
        let receivers = &facts.receivers;
        let destinations = E::new_record([
            ("named".to_owned(), texts(&receivers.named)),
            ("derived".to_owned(), texts(&receivers.derived)),
            ("unnamed".to_owned(), texts(&receivers.unnamed)),
            ("all_named".to_owned(), E::new_bool(receivers.all_named())),
            ("sources".to_owned(), entities(&self.label, &receivers.sources)),
            ("hosts".to_owned(), entities(&self.host, &receivers.hosts())),
        ])
        .ok()?;
        let mut context = vec![
            ("user".to_owned(), entity(&self.user, facts.user.as_str())),
            ("effect".to_owned(), entity(&self.effect, effect(facts.effect))),
            ("category".to_owned(), entity(&self.category, category(facts.category))),
            ("expected".to_owned(), E::new_bool(facts.expected)),
            ("accounted".to_owned(), E::new_bool(facts.accounted)),
            ("own".to_owned(), E::new_bool(facts.own())),
            ("attended".to_owned(), E::new_bool(facts.attended)),
            ("labels".to_owned(), entities(&self.label, &facts.labels)),
            ("from_user_alone".to_owned(), E::new_bool(facts.labels.iter().all(|label| label == "user"))),
            ("destinations".to_owned(), destinations),
        ];
        if let Some(step) = &facts.step {
            context.push(("step".to_owned(), E::new_string(step.to_string())));
        }
        Some(context)
    }
}

fn texts(all: &BTreeSet<String>) -> E {
    E::new_set(all.iter().cloned().map(E::new_string))
}

fn entities(kind: &EntityTypeName, all: &BTreeSet<String>) -> E {
    E::new_set(all.iter().map(|id| entity(kind, id)))
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

fn entity(kind: &EntityTypeName, id: &str) -> E {
    E::new_entity_uid(uid(kind, id))
}
