//! The templates of the scripts.
//!
//! Answers: what does a condition or a reply come to for this request?
//! Never: changes anything, or sees anything but the request.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, UndefinedBehavior, Value, context};

use super::script::Fact;
use super::view::View;

mod scope;

mod guess;
mod words;

/// Templates and facts.
#[derive(Debug)]
pub struct Renderer {
    environment: Environment<'static>,
    facts: Arc<BTreeMap<String, Fact>>,
    templates: usize,
}

impl Renderer {
    /// With these facts, and no template yet.
    pub fn new(facts: Vec<Fact>) -> Renderer {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
            environment.set_syntax(syntax);
        }
        environment.add_filter("brief", |value: Value| words::brief(&scope::to_json(&value)));
        environment.add_filter("sentences", |text: String, count: usize| words::sentences(&text, count));
        let facts = facts.into_iter().map(|fact| (fact.name.clone(), fact)).collect();
        Renderer { environment, facts: Arc::new(facts), templates: 0 }
    }

    /// Takes a template; what comes back names it.
    pub fn add_template(&mut self, source: &str) -> Result<String, String> {
        self.templates += 1;
        let name = format!("t{}", self.templates);
        match self.environment.add_template_owned(name.clone(), source.to_owned()) {
            Ok(()) => Ok(name),
            Err(error) => Err(format!("{error:#}")),
        }
    }

    /// Takes a condition, which is an expression.
    pub fn add_condition(&mut self, expression: &str) -> Result<String, String> {
        self.add_template(&format!("{{% if {expression} %}}1{{% endif %}}"))
    }

    /// The fact of that name.
    pub fn fact(&self, name: &str) -> Option<&Fact> {
        self.facts.get(name)
    }

    /// What templates see of a request.
    pub fn scope(&self, view: &Arc<View>) -> Value {
        scope::of(view, &self.facts)
    }

    /// Does the condition hold? One that cannot be evaluated does not.
    pub fn holds(&self, condition: &str, scope: &Value, kind: &str, groups: &serde_json::Value) -> bool {
        let rendered = self.render(condition, scope, kind, groups);
        if let Err(error) = &rendered {
            tracing::warn!(%error, "a condition of the scripted model cannot be evaluated");
        }
        rendered.is_ok_and(|text| !text.is_empty())
    }

    /// What the template says; `m` in it are the groups of the rule's pattern.
    pub fn render(
        &self,
        template: &str,
        scope: &Value,
        kind: &str,
        groups: &serde_json::Value,
    ) -> Result<String, Error> {
        let m = Value::from(Serde(groups));
        self.environment.get_template(template)?.render(context! { m, kind, ..scope.clone() })
    }
}
