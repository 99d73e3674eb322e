//! From files to the policy in force.
//!
//! Answers: are these rules, does the schema allow them, and how is each one called?
//! Never: takes in a part of a file; a file with one fault is not used, and its faults say where they are.
//! Carries: I-06, I-07.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use cedar_policy::{PolicyId, PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic;

use crate::fault::{Fault, Faults};
use crate::file::{line_of, places};
use crate::given::Given;
use crate::index::Index;
use crate::preset::{Preset, SCHEMA, read};
use crate::request::Names;
use crate::rule::{Kind, PLACEHOLDERS, Rule, unknown_placeholders};

/// Bytes of a policy file at most.
pub const MAX_FILE: u64 = 4 << 20;

/// Rules at most, of all files together.
pub const MAX_RULES: usize = 20_000;

/// Decisions that are not a rule's have these names.
const TAKEN: [&str; 2] = ["none", "unattended"];

/// The policy in force. A value, cheap to clone; it is replaced as a whole.
#[derive(Clone)]
pub struct Policy(pub(crate) Arc<Compiled>);

pub(crate) struct Compiled {
    /// In order: the files of the configuration, then the preset.
    pub rules: Vec<Rule>,
    /// None if there are no rules.
    pub index: Option<(Names, Index)>,
    /// What deserves a look, but is no fault.
    pub notes: Vec<Fault>,
    /// Is any of the rules marked with `@each_time`?
    pub each_time: bool,
    /// What was said so far.
    pub given: Given,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Policy").field(&self.0.rules.len()).finish()
    }
}

impl Policy {
    /// Nothing is permitted.
    #[must_use]
    pub fn empty() -> Self {
        Self(Arc::new(Compiled {
            rules: Vec::new(),
            index: None,
            notes: Vec::new(),
            each_time: false,
            given: Given::default(),
        }))
    }

    /// This preset as it was shipped.
    #[must_use]
    pub fn preset(preset: Preset) -> Self {
        static SHIPPED: [OnceLock<Policy>; 3] = [OnceLock::new(), OnceLock::new(), OnceLock::new()];
        let [strict, balanced, locked] = &SHIPPED;
        let once = match preset {
            Preset::Strict => strict,
            Preset::Balanced => balanced,
            Preset::Locked => locked,
        };
        let compile = || {
            let shipped = [(preset.file_name().to_owned(), preset.shipped().to_owned())];
            // That it compiles is a test; if it did not, nothing would be permitted.
            Self::of_texts(&shipped).unwrap_or_else(|_| Self::empty())
        };
        once.get_or_init(compile).clone()
    }

    /// The rules of these files before those of the preset, which lies in `folder`, or is the shipped one.
    ///
    /// # Errors
    /// All that is wrong, with file and line.
    pub fn load(preset: Preset, folder: Option<&Path>, files: &[PathBuf]) -> Result<Self, Faults> {
        let mut texts = Vec::new();
        let mut faults = Vec::new();
        let sources = files.iter().map(|file| read(file)).chain([preset.source(folder)]);
        for source in sources {
            match source {
                Ok(source) => texts.push(source),
                Err(Faults(more)) => faults.extend(more),
            }
        }
        if !faults.is_empty() {
            return Err(Faults(faults));
        }
        Self::of_texts(&texts)
    }

    /// The rules of these texts, each with the name of its file. Of several that agree the first is named.
    ///
    /// # Errors
    /// All that is wrong, with file and line.
    pub fn of_texts(texts: &[(String, String)]) -> Result<Self, Faults> {
        let mut reading = Reading::begin().map_err(Faults::of)?;
        for (file, text) in texts {
            reading.file(file, text);
        }
        reading.end()
    }

    /// All rules, in the order in which they are named.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.0.rules
    }

    /// The rule of this name.
    #[must_use]
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.0.rules.iter().find(|rule| rule.id == id)
    }

    /// What deserves a look, but is no fault: rules that can never hold, names that look like others.
    #[must_use]
    pub fn notes(&self) -> &[Fault] {
        &self.0.notes
    }
}

/// Files being read.
struct Reading {
    validator: Validator,
    names: Names,
    rules: Vec<Rule>,
    policies: Vec<cedar_policy::Policy>,
    known: BTreeMap<String, String>,
    faults: Vec<Fault>,
    notes: Vec<Fault>,
}

impl Reading {
    fn begin() -> Result<Self, Fault> {
        let wrong = |error: String| Fault::new("secgpt.cedarschema", None, error);
        let schema = Schema::from_str(SCHEMA).map_err(|error| wrong(error.to_string()))?;
        let names = Names::new().map_err(|error| wrong(error.to_string()))?;
        Ok(Self {
            validator: Validator::new(schema),
            names,
            rules: Vec::new(),
            policies: Vec::new(),
            known: BTreeMap::new(),
            faults: Vec::new(),
            notes: Vec::new(),
        })
    }

    fn file(&mut self, file: &str, text: &str) {
        let set = match PolicySet::from_str(text) {
            Ok(set) => set,
            Err(errors) => {
                self.faults.extend(errors.iter().map(|error| fault(file, text, error)));
                return;
            }
        };
        let places = places(text);
        let mut policies: Vec<Option<cedar_policy::Policy>> = vec![None; places.len()];
        for policy in set.policies() {
            let slot = number(policy.id()).and_then(|number| policies.get_mut(number));
            if let Some(slot) = slot {
                *slot = Some(policy.clone());
            }
        }
        if let Some(at) = policies.iter().position(Option::is_none) {
            let what =
                "a rule with ?principal or ?resource is a template, and there is nothing to fill it in";
            self.faults.push(Fault::new(file, places.get(at).map(|place| place.line), what));
            return;
        }
        if MAX_RULES < self.rules.len().saturating_add(places.len()) {
            self.faults.push(Fault::new(file, None, format!("more than {MAX_RULES} rules")));
            return;
        }
        self.validate(file, text, &set);
        for (place, policy) in places.into_iter().zip(policies.into_iter().flatten()) {
            self.rule(file, place.line, place.text, policy);
        }
    }

    fn validate(&mut self, file: &str, text: &str, set: &PolicySet) {
        let result = self.validator.validate(set, ValidationMode::Strict);
        let faults = result.validation_errors().map(|error| fault(file, text, error));
        self.faults.extend(faults.map(|fault| Fault { by_schema: true, ..fault }));
        self.notes.extend(result.validation_warnings().map(|warning| fault(file, text, warning)));
    }

    fn rule(&mut self, file: &str, line: usize, text: &str, policy: cedar_policy::Policy) {
        let id = match policy.annotation("id") {
            Some(id) => id.to_owned(),
            None => format!("{}:{line}", Path::new(file).file_name().unwrap_or_default().to_string_lossy()),
        };
        let place = format!("{file}:{line}");
        if let Some(what) = self.wrong_with(&id, &policy) {
            self.faults.push(Fault::new(file, Some(line), what));
            return;
        }
        if let Some(other) = self.known.insert(id.clone(), place) {
            let what = format!("a rule {id:?} stands at {other} already");
            self.faults.push(Fault::new(file, Some(line), what).help("give each its own @id"));
            return;
        }
        let kind = match policy.effect() {
            cedar_policy::Effect::Permit => Kind::Permit,
            cedar_policy::Effect::Forbid => Kind::Forbid,
        };
        self.policies.push(policy.new_id(PolicyId::new(self.rules.len().to_string())));
        self.rules.push(Rule {
            id,
            kind,
            file: file.to_owned(),
            line,
            text: text.to_owned(),
            each_time: policy.annotation("each_time").is_some(),
            reason: policy.annotation("reason").map(str::to_owned),
        });
    }

    /// What is wrong with a rule's annotations.
    fn wrong_with(&self, id: &str, policy: &cedar_policy::Policy) -> Option<String> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        if id.is_empty() || 64 < id.len() || !id.chars().all(legal) {
            return Some(format!("@id({id:?}): 1 to 64 letters, digits, - _ . are a name"));
        }
        if TAKEN.contains(&id) {
            return Some(format!("@id({id:?}) is the name of a decision that no rule makes"));
        }
        let known = ["id", "reason", "each_time"];
        if let Some((other, _)) = policy.annotations().find(|(name, _)| !known.contains(name)) {
            return Some(format!("there is no annotation @{other}; there are @id, @reason and @each_time"));
        }
        let reason = policy.annotation("reason").unwrap_or("x.");
        if let Some(other) = unknown_placeholders(reason).first() {
            let all = PLACEHOLDERS.map(|name| format!("{{{name}}}")).join(" ");
            return Some(format!("@reason: there is no {{{other}}}; there are {all}"));
        }
        if 400 < reason.len() || reason.chars().any(char::is_control) || !reason.ends_with('.') {
            return Some(
                "@reason: a sentence of at most 400 bytes on one line, with its full stop".to_owned(),
            );
        }
        let forbid = policy.effect() == cedar_policy::Effect::Forbid;
        (policy.annotation("each_time").is_some() && forbid)
            .then(|| "@each_time: only a rule that permits `ask` can be marked so".to_owned())
    }

    fn end(self) -> Result<Policy, Faults> {
        if !self.faults.is_empty() {
            return Err(Faults(self.faults));
        }
        if self.rules.is_empty() {
            return Ok(Policy::empty());
        }
        let index = Index::of(&self.names, self.policies)
            .map_err(|what| Faults::of(Fault::new("policy", None, what)))?;
        let each_time = self.rules.iter().any(|rule| rule.each_time);
        let index = Some((self.names, index));
        let compiled =
            Compiled { rules: self.rules, index, notes: self.notes, each_time, given: Given::default() };
        Ok(Policy(Arc::new(compiled)))
    }
}

/// Cedar numbers the rules of a text in their order: `policy0`, `policy1`, ….
fn number(id: &PolicyId) -> Option<usize> {
    AsRef::<str>::as_ref(id).strip_prefix("policy").and_then(|number| number.parse().ok())
}

fn fault(file: &str, text: &str, error: &dyn Diagnostic) -> Fault {
    let label = error.labels().and_then(|mut labels| labels.next());
    let line = label.as_ref().map(|label| line_of(text, label.offset()));
    let mut what = error.to_string();
    // "expected …" is a note on the place.
    if let Some(note) = label.as_ref().and_then(|label| label.label()) {
        what = format!("{what}: {note}");
    }
    what = without_number(&what);
    let help = error.help().map(|help| without_number(&help.to_string()));
    Fault { file: file.to_owned(), line, what, help, by_schema: false }
}

/// Cedar names a rule by its number, which says nothing to a person.
fn without_number(text: &str) -> String {
    match text.split_once("for policy `policy").map(|(start, rest)| (start, rest.split_once('`'))) {
        Some((start, Some((_, rest)))) => format!("{start}{}", rest.trim_start_matches([',', ':', ' '])),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
