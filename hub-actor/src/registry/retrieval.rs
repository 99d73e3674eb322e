//! Which functionalities the planner gets to see for a query.
//!
//! Answers: which of hundreds may help here?
//! Never: leaves one out while all of them fit; lets one app crowd out the others by the words it uses.
//! Carries: I-17.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use bus::id::{AppId, Functionality};
use manifest::FunctionSpec;

use super::Catalogue;

/// Up to this many functionalities the planner sees all: a signature has some thirty tokens, so this is about a
/// thousand, and nothing can be missed.
pub const ALL_UP_TO: usize = 40;

/// The candidates for a query, best first, at most `limit`; all of them if there are no more than [`ALL_UP_TO`].
#[must_use]
pub fn candidates(catalogue: &Catalogue, query: &str, limit: usize) -> Vec<Functionality> {
    let all: Vec<(Functionality, &FunctionSpec)> = catalogue.functionalities().collect();
    if all.len() <= ALL_UP_TO {
        return all.into_iter().map(|(functionality, _)| functionality).collect();
    }
    let documents: Vec<(&AppId, BTreeSet<String>)> = all
        .iter()
        .map(|(name, spec)| (&name.app, words(&document(name, spec)).into_iter().collect()))
        .collect();
    let scores = bm25(&documents, &words(query));
    pick(all.into_iter().map(|(functionality, _)| functionality).zip(scores).collect(), query, limit)
}

/// The text of each functionality, for an embeddings model; in the order of the catalogue.
#[must_use]
pub fn documents(catalogue: &Catalogue) -> Vec<(Functionality, String)> {
    catalogue
        .functionalities()
        .map(|(functionality, spec)| {
            let text = words(&document(&functionality, spec)).join(" ");
            (functionality, text)
        })
        .collect()
}

/// As [`candidates`], by vectors that an embeddings model made of the query and of each of [`documents`].
#[must_use]
pub fn by_vectors(
    documents: &[(Functionality, Vec<f32>)],
    query: &[f32],
    query_text: &str,
    limit: usize,
) -> Vec<Functionality> {
    let scored = documents
        .iter()
        .map(|(functionality, vector)| (functionality.clone(), f64::from(cosine(query, vector))))
        .collect::<Vec<_>>();
    if scored.len() <= ALL_UP_TO {
        return scored.into_iter().map(|(functionality, _)| functionality).collect();
    }
    pick(scored, query_text, limit)
}

/// How alike two vectors are, from -1 to 1; 0 if they do not have the same length or one is nothing.
#[must_use]
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return 0.0;
    }
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let length = (dot(a, a) * dot(b, b)).sqrt();
    let likeness = dot(a, b) / length;
    if likeness.is_finite() { likeness } else { 0.0 }
}

/// The best, but not all by their words alone, as an app can copy those of others. Half of the places go to the best of
/// each app, so that only as many apps as there are such places could crowd one out. The others go to the best that are
/// left, of one app no more than a quarter of all. Places left over go to the next best of any app.
fn pick(mut scored: Vec<(Functionality, f64)>, query: &str, limit: usize) -> Vec<Functionality> {
    let asked: BTreeSet<String> = words(query).into_iter().collect();
    // What the user names comes first: those words are not the app's.
    let apps: BTreeSet<AppId> = scored.iter().map(|(functionality, _)| functionality.app.clone()).collect();
    let named: BTreeSet<AppId> = apps
        .into_iter()
        .filter(|app| {
            let name = words(app.as_str());
            !name.is_empty() && name.iter().all(|word| asked.contains(word))
        })
        .collect();
    scored.sort_by(|(a, a_score), (b, b_score)| {
        let by_name = named.contains(&b.app).cmp(&named.contains(&a.app));
        let by_score = b_score.partial_cmp(a_score).unwrap_or(Ordering::Equal);
        by_name.then(by_score).then_with(|| a.cmp(b))
    });
    let ranked: Vec<Functionality> = scored.into_iter().map(|(functionality, _)| functionality).collect();
    let mut taken = BTreeMap::<&AppId, usize>::new();
    let mut chosen = BTreeSet::<usize>::new();
    let passes = [(1, limit.div_ceil(2)), (limit.div_ceil(4), limit), (usize::MAX, limit)];
    for (of_one_app, places) in passes {
        for (rank, functionality) in ranked.iter().enumerate() {
            let count = taken.entry(&functionality.app).or_default();
            if chosen.len() < places && *count < of_one_app && chosen.insert(rank) {
                *count = count.saturating_add(1);
            }
        }
    }
    chosen.into_iter().filter_map(|rank| ranked.get(rank).cloned()).collect()
}

/// Do these words of the user name the app? `quick_ride` is also named by "Quick Ride" and by "quick rides", and not
/// by "a quick look at a ride".
#[must_use]
pub fn names(text: &str, app: &AppId) -> bool {
    let (said, name) = (words(text), words(app.as_str()));
    !name.is_empty() && said.windows(name.len()).any(|part| part == name)
}

/// Names, the vetted summary, parameter names as the planner sees them. Never a description.
fn document(functionality: &Functionality, spec: &FunctionSpec) -> String {
    let summary = spec.summary.as_deref().unwrap_or_default();
    format!("{} {} {summary} {}", functionality.app, functionality.name, spec.parameters().join(" "))
}

/// Lower-case words; `camelCase`, `snake_case` and `kebab-case` are parted. A plural counts as its singular.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in text.chars() {
        let parts = !c.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase());
        if parts {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_alphanumeric(), words.last_mut()) {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty() && !COMMON.contains(&word.as_str()));
    words.into_iter().map(singular).collect()
}

fn singular(word: String) -> String {
    match word.strip_suffix('s') {
        Some(stem) if stem.len() > 2 && !stem.ends_with('s') => stem.to_owned(),
        _ => word,
    }
}

/// Words that say nothing about which functionality is meant.
const COMMON: [&str; 20] = [
    "a", "an", "the", "of", "to", "in", "on", "for", "and", "or", "with", "my", "me", "is", "it", "please",
    "what", "from", "by", "at",
];

/// Okapi BM25 with its usual constants. A word said twice in one document counts once, and how rare a word is, and how long a document
/// usually is, is asked of the apps, each of which counts once: repeating a word wins nothing, neither for the one who repeats it nor by
/// making it a common one.
fn bm25(documents: &[(&AppId, BTreeSet<String>)], query: &[String]) -> Vec<f64> {
    const K1: f64 = 1.2;
    const B: f64 = 0.75;
    let mut apps = BTreeMap::<&AppId, Vec<&BTreeSet<String>>>::new();
    documents.iter().for_each(|(app, words)| apps.entry(app).or_default().push(words));
    let count = apps.len() as f64;
    let usual = |sets: &Vec<&BTreeSet<String>>| {
        sets.iter().map(|set| set.len()).sum::<usize>() as f64 / sets.len().max(1) as f64
    };
    let average = apps.values().map(usual).sum::<f64>() / count.max(1.0);
    let wanted: BTreeSet<&str> = query.iter().map(String::as_str).collect();
    let weight = |word: &str| {
        let has = |sets: &&Vec<&BTreeSet<String>>| sets.iter().any(|set| set.contains(word));
        let having = apps.values().filter(has).count() as f64;
        (1.0 + (count - having + 0.5) / (having + 0.5)).ln()
    };
    let weights: BTreeMap<&str, f64> = wanted.iter().map(|word| (*word, weight(word))).collect();
    documents
        .iter()
        .map(|(_, set)| {
            let length = 1.0 - B + B * set.len() as f64 / average.max(1.0);
            let matched = weights.iter().filter(|(word, _)| set.contains(**word));
            matched.map(|(_, weight)| weight * (K1 + 1.0) / (1.0 + K1 * length)).sum()
        })
        .collect()
}

#[cfg(test)]
mod tests;
