//! The TOML form of the scripts.
//!
//! Answers: what do the files say, and where is a mistake?
//! Never: takes a file with a key it does not know, or an example that does not hold.

use std::ops::Range;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde::Deserialize;
use toml::Spanned;

use super::example::{Example, FactExample};
use super::{Fact, Form, Kind, Rule, Script, ScriptError};
use crate::model::render::Renderer;
use crate::model::view::Source;

/// A file as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Files are tried in this order, rules in the order in which they stand.
    #[serde(default)]
    order: i64,
    /// The kinds of conversation that the file's rules are for.
    #[serde(default)]
    kinds: Vec<String>,
    /// Signatures that examples may use, for all files together.
    #[serde(default)]
    catalogue: Vec<String>,
    #[serde(default)]
    kind: Vec<Spanned<KindEntry>>,
    #[serde(default)]
    fact: Vec<Spanned<FactEntry>>,
    #[serde(default)]
    rule: Vec<Spanned<RuleEntry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KindEntry {
    name: String,
    r#if: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FactEntry {
    name: String,
    r#in: Vec<Source>,
    pattern: OneOrMore,
    r#match: Vec<FactExample>,
    no_match: Vec<FactExample>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleEntry {
    name: String,
    query: Option<OneOrMore>,
    r#if: Option<String>,
    content: Option<String>,
    calls: Option<String>,
    steps: Option<String>,
    value: Option<String>,
    raw: Option<String>,
    r#match: Vec<Example>,
    #[serde(default)]
    no_match: Vec<Example>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// A file that was read, to say where something stands.
struct Read {
    path: PathBuf,
    text: String,
    file: File,
}

/// Reads a folder.
pub fn load(folder: &Path) -> Result<Script, ScriptError> {
    let files = read_all(folder)?;
    let mut facts = Vec::new();
    for read in &files {
        for entry in &read.file.fact {
            facts.push(read_fact(entry.get_ref()).map_err(|why| read.error(&entry.span(), why))?);
        }
    }
    let mut renderer = Renderer::new(facts);
    let mut kinds = Vec::new();
    let mut rules = Vec::new();
    for read in &files {
        for entry in &read.file.kind {
            let KindEntry { name, r#if } = entry.get_ref();
            let condition = r#if.as_deref().map(|source| renderer.add_condition(source)).transpose();
            let condition = condition.map_err(|why| read.error(&entry.span(), why))?;
            kinds.push(Kind { name: name.clone(), condition });
        }
    }
    for read in &files {
        for entry in &read.file.rule {
            let rule = read_rule(&read.file, entry.get_ref(), &mut renderer);
            rules.push(rule.map_err(|why| read.error(&entry.span(), why))?);
        }
    }
    let script = Script { kinds, rules, renderer };
    check(&script, &files)?;
    Ok(script)
}

fn read_all(folder: &Path) -> Result<Vec<Read>, ScriptError> {
    let failed = |path: &Path, error: &std::io::Error| ScriptError {
        file: path.into(),
        line: 0,
        why: error.to_string(),
    };
    let entries = std::fs::read_dir(folder).map_err(|error| failed(folder, &error))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    if paths.is_empty() {
        return Err(ScriptError { file: folder.into(), line: 0, why: "there is no script here".to_owned() });
    }
    let mut files = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, &error))?;
        let file: File = toml::from_str(&text).map_err(|error| ScriptError {
            file: path.clone(),
            line: error.span().map_or(0, |span| line_of(&text, span.start)),
            why: error.message().to_owned(),
        })?;
        files.push(Read { path, text, file });
    }
    files.sort_by_key(|read| read.file.order);
    Ok(files)
}

fn read_fact(entry: &FactEntry) -> Result<Fact, String> {
    Ok(Fact { name: entry.name.clone(), sources: entry.r#in.clone(), patterns: patterns(&entry.pattern)? })
}

fn read_rule(file: &File, entry: &RuleEntry, renderer: &mut Renderer) -> Result<Rule, String> {
    let forms = [
        (Form::Content, &entry.content),
        (Form::Calls, &entry.calls),
        (Form::Steps, &entry.steps),
        (Form::Value, &entry.value),
        (Form::Raw, &entry.raw),
    ];
    let mut given = forms.into_iter().filter_map(|(form, template)| Some((form, template.as_ref()?)));
    let (Some((form, template)), None) = (given.next(), given.next()) else {
        return Err(format!(
            "{}: one of content, calls, steps, value, raw is needed, and only one",
            entry.name
        ));
    };
    if file.kinds.is_empty() {
        return Err("a file with rules has to say for which kinds".to_owned());
    }
    if entry.r#match.is_empty() {
        return Err(format!("{}: a rule needs an example", entry.name));
    }
    Ok(Rule {
        name: entry.name.clone(),
        kinds: file.kinds.clone(),
        query: entry.query.as_ref().map(patterns).transpose()?.unwrap_or_default(),
        condition: entry.r#if.as_deref().map(|source| renderer.add_condition(source)).transpose()?,
        form,
        template: renderer.add_template(template)?,
    })
}

fn patterns(given: &OneOrMore) -> Result<Vec<Regex>, String> {
    let given = match given {
        OneOrMore::One(one) => std::slice::from_ref(one),
        OneOrMore::More(more) => more,
    };
    given.iter().map(|pattern| Regex::new(&latin(pattern)).map_err(|error| error.to_string())).collect()
}

/// The pattern with `\w`, `\d`, `\s` and `\b` read as of ASCII and Latin letters. The classes of all of Unicode make a
/// hundred patterns take a second to compile in a debug build, and every test that starts a system waits for them.
fn latin(pattern: &str) -> String {
    let (mut plain, mut in_class) = (String::with_capacity(pattern.len()), false);
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match (letter, in_class) {
            ('\\', _) => match (letters.next(), in_class) {
                (Some('w'), true) => plain.push_str("0-9A-Za-z_À-ɏ"),
                (Some('w'), false) => plain.push_str("[0-9A-Za-z_À-ɏ]"),
                (Some('d'), true) => plain.push_str("0-9"),
                (Some('d'), false) => plain.push_str("[0-9]"),
                (Some('s'), true) => plain.push_str(r" \t\r\n"),
                (Some('s'), false) => plain.push_str(r"[ \t\r\n]"),
                (Some('b'), false) => plain.push_str(r"(?-u:\b)"),
                (other, _) => {
                    plain.push('\\');
                    plain.extend(other);
                }
            },
            ('[', false) | (']', true) => {
                in_class = !in_class;
                plain.push(letter);
            }
            _ => plain.push(letter),
        }
    }
    plain
}

/// Every example of every fact and rule.
fn check(script: &Script, files: &[Read]) -> Result<(), ScriptError> {
    let catalogue: Vec<String> = files.iter().flat_map(|read| read.file.catalogue.iter().cloned()).collect();
    for read in files {
        for entry in &read.file.fact {
            let FactEntry { name, r#match, no_match, .. } = entry.get_ref();
            let bad = [(r#match, true), (no_match, false)].into_iter().find_map(|(examples, expected)| {
                examples.iter().find_map(|example| example.check(script.renderer.fact(name)?, expected).err())
            });
            if let Some(why) = bad {
                return Err(read.error(&entry.span(), format!("{name}: {why}")));
            }
        }
        for entry in &read.file.rule {
            let RuleEntry { name, r#match, no_match, .. } = entry.get_ref();
            let kind = read.file.kinds.first().map(String::as_str).unwrap_or_default();
            let bad = [(r#match, true), (no_match, false)].into_iter().find_map(|(examples, expected)| {
                examples
                    .iter()
                    .find_map(|example| example.check(script, &catalogue, kind, name, expected).err())
            });
            if let Some(why) = bad {
                return Err(read.error(&entry.span(), format!("{name}: {why}")));
            }
        }
    }
    Ok(())
}

impl Read {
    fn error(&self, span: &Range<usize>, why: String) -> ScriptError {
        ScriptError { file: self.path.clone(), line: line_of(&self.text, span.start), why }
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}
