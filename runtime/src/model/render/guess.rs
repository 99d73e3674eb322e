//! A call for apps that no rule knows.
//!
//! Answers: which of the offered tools has most to do with the query, and which words of the query may be its arguments?
//! Never: guesses when nothing fits, or a required argument is left over.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use crate::model::view::{Offer, Parameter, View};

/// Text in quotation marks, and numbers.
static QUOTED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#""([^"]+)"|“([^”]+)”|‘([^’]+)’|(?:^|[\s(])'([^']+)'"#).ok());
static NUMBER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"-?\d+(?:\.\d+)?").ok());

/// The name of a functionality, and arguments for it.
pub fn call(view: &View) -> Option<(String, Value)> {
    let words = words(&view.query);
    let score = |offer: &Offer| {
        let app = usize::from(super::scope::mentions(&view.query, &offer.app));
        2 * app + offer.name.split('_').filter(|part| words.contains(&part.to_lowercase())).count()
    };
    // The first of equals, so that the order of the tools decides and not the order of a map.
    let (score, offer) =
        view.offers.iter().rev().map(|offer| (score(offer), offer)).max_by_key(|(score, _)| *score)?;
    if score == 0 && view.offers.len() != 1 {
        return None;
    }
    Some((offer.full.clone(), Value::Object(arguments(&view.query, &offer.parameters)?)))
}

/// A functionality that the query names, with the arguments that it names as `key = value`; nothing if one that is
/// required is not named. This is how a plan is made for apps that nobody has written a rule for.
pub fn named(view: &View) -> Option<(String, Value)> {
    let names = |text: &str| {
        let plain = |c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-' | '.');
        view.query.split(plain).any(|word| word.trim_matches('.').eq_ignore_ascii_case(text))
    };
    let full = view.offers.iter().find(|offer| names(&offer.full));
    let bare = || {
        let mut found = view.offers.iter().filter(|offer| names(&offer.name));
        match (found.next(), found.next()) {
            (Some(only), None) => Some(only),
            // Of several with one name, the one whose app is named too.
            _ => view
                .offers
                .iter()
                .find(|offer| names(&offer.name) && super::scope::mentions(&view.query, &offer.app)),
        }
    };
    let offer = full.or_else(bare)?;
    let mut given = Map::new();
    for parameter in &offer.parameters {
        match written(&view.query, parameter) {
            Some(value) => drop(given.insert(parameter.name.clone(), value)),
            None if parameter.required => return None,
            None => {}
        }
    }
    // Many names are ordinary words; one alone says little.
    (full.is_some() || !given.is_empty()).then(|| (offer.full.clone(), Value::Object(given)))
}

/// What stands after `key =`: JSON, a text in quotation marks, or a word, as the parameter wants it.
fn written(query: &str, parameter: &Parameter) -> Option<Value> {
    let key = regex::escape(&parameter.name);
    let pattern = format!(
        r#"(?:^|[\s,(]){key}\s*=\s*(?:(?P<json>[\[{{].*?[\]}}])|"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<word>[^\s,;]+))"#
    );
    let found = Regex::new(&pattern).ok()?.captures(query)?;
    if let Some(json) = found.name("json") {
        return serde_json::from_str(json.as_str()).ok();
    }
    let text = ["double", "single", "word"].iter().find_map(|name| found.name(name))?.as_str();
    let text = if found.name("word").is_some() { text.trim_end_matches(['.', '?', '!', ')']) } else { text };
    match parameter.kind.as_str() {
        "integer" => text.parse::<i64>().ok().map(Value::from),
        "number" => text.parse::<f64>().ok().map(Value::from),
        "boolean" => text.parse::<bool>().ok().map(Value::from),
        _ => Some(Value::from(text)),
    }
}

fn arguments(query: &str, parameters: &[Parameter]) -> Option<Map<String, Value>> {
    let mut quoted = QUOTED
        .as_ref()?
        .captures_iter(query)
        .filter_map(|found| found.iter().skip(1).flatten().next().map(|text| text.as_str().to_owned()));
    let mut numbers = NUMBER.as_ref()?.find_iter(query).map(|found| found.as_str());
    let mut given = Map::new();
    for parameter in parameters {
        if let Some(value) = written(query, parameter) {
            given.insert(parameter.name.clone(), value);
            continue;
        }
        let value = match parameter.kind.as_str() {
            "integer" => numbers.next().and_then(|text| text.parse::<i64>().ok()).map(Value::from),
            "number" => numbers.next().and_then(|text| text.parse::<f64>().ok()).map(Value::from),
            "string" | "" => quoted.next().map(Value::from),
            _ => None,
        };
        match value {
            Some(value) => drop(given.insert(parameter.name.clone(), value)),
            // Free text for an app that takes just one is the query itself.
            None if parameter.required && parameter.kind == "string" && given.is_empty() => {
                given.insert(parameter.name.clone(), Value::from(query));
            }
            None if parameter.required => return None,
            None => {}
        }
    }
    Some(given)
}

fn words(text: &str) -> BTreeSet<String> {
    text.split(|letter: char| !letter.is_alphanumeric()).map(str::to_lowercase).collect()
}
