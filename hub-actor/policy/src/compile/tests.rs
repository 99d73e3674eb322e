//! What is a policy, and what is told of one that is none.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::rule::Kind;

fn texts(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[track_caller]
fn faults(text: &str) -> Vec<Fault> {
    Policy::of_texts(&texts(&[("own.cedar", text)])).unwrap_err().0
}

#[test]
fn each_preset_is_a_policy_without_notes() {
    for preset in [Preset::Strict, Preset::Balanced, Preset::Locked] {
        let compiled = Policy::of_texts(&texts(&[(preset.file_name(), preset.shipped())])).unwrap();
        assert_eq!(compiled.notes(), []);
        assert!(compiled.rules().iter().all(|rule| rule.reason.is_some() && !rule.id.contains(':')));
        assert_eq!(Policy::preset(preset).rules(), compiled.rules());
    }
}

#[test]
fn a_rule_is_known_by_its_place_and_text() {
    let text = "// first\n@id(\"one\")\npermit (principal, action, resource);\n\nforbid (principal, action, resource in App::\"mail\");\n";
    let policy = Policy::of_texts(&texts(&[("dir/own.cedar", text)])).unwrap();
    let [one, two] = policy.rules() else { panic!("{:?}", policy.rules()) };
    assert_eq!((one.id.as_str(), one.kind, one.line), ("one", Kind::Permit, 2));
    assert_eq!((two.id.as_str(), two.kind, two.line), ("own.cedar:5", Kind::Forbid, 5));
    assert_eq!(two.text, "forbid (principal, action, resource in App::\"mail\");");
}

#[test]
fn a_fault_says_file_line_and_what_is_allowed() {
    for (text, line, what, help) in [
        ("permit (principal, action, resource)", 1, "unexpected end of input", ""),
        ("// x\n\npermit (principle, action, resource);", 3, "principle", ""),
        (
            "\npermit (principal, action == Action::\"run\", resource);",
            2,
            "unrecognized action `Action::\"run\"`",
            "",
        ),
        ("permit (principal == Robot::\"r\", action, resource);", 1, "Robot", ""),
        (
            "permit (principal, action, resource)\nwhen { context.efect == Effect::\"read\" };",
            2,
            "`efect`",
            "did you mean `effect`",
        ),
        (
            "permit (principal, action, resource)\nwhen { context.effect == Effect::\"raed\" };",
            2,
            "raed",
            "\"irreversible\"",
        ),
        ("permit (principal, action, resource)\nwhen { context.expected == 1 };", 2, "types", ""),
        ("permit (principal, action, resource) when { context.step == \"s1\" };", 1, "`step`", "has"),
        ("\n\n@id(\"a b\") permit (principal, action, resource);", 3, "1 to 64 letters", ""),
        ("@id(\"none\") permit (principal, action, resource);", 1, "no rule makes", ""),
        ("@name(\"x\") permit (principal, action, resource);", 1, "there is no annotation @name", ""),
        (
            "@reason(\"{who} did it.\") permit (principal, action, resource);",
            1,
            "there is no {who}; there are {user}",
            "",
        ),
        ("@reason(\"because\") permit (principal, action, resource);", 1, "full stop", ""),
        ("@each_time forbid (principal, action, resource);", 1, "@each_time", ""),
        ("permit (principal == ?principal, action, resource);", 1, "template", ""),
    ] {
        let faults = faults(text);
        let first = &faults[0];
        assert_eq!(first.file, "own.cedar");
        assert_eq!(first.line.unwrap_or(0), line, "{first}");
        assert!(first.what.contains(what), "{first}");
        assert!(first.help.as_deref().unwrap_or_default().contains(help), "{first}");
        assert!(!first.to_string().contains("policy0"), "{first}");
    }
}

#[test]
fn all_faults_of_all_files_are_told_at_once() {
    let wrong = "permit (principal, action, resource) when { context.nothing };";
    let faults = Policy::of_texts(&texts(&[("a.cedar", wrong), ("b.cedar", wrong)])).unwrap_err();
    let told = faults.to_string();
    assert!(told.contains("a.cedar:1: ") && told.contains("b.cedar:1: "), "{told}");
    assert_eq!(told.matches("allowed are: principal Plan").count(), 1, "{told}");
}

#[test]
fn two_rules_of_one_name_are_a_conflict() {
    let one = "@id(\"one\") permit (principal, action, resource);";
    let faults = Policy::of_texts(&texts(&[("a.cedar", one), ("b.cedar", one)])).unwrap_err();
    assert!(faults.to_string().contains("b.cedar:1: a rule \"one\" stands at a.cedar:1 already"), "{faults}");
    // So a file cannot pass its rule off as one of the preset.
    let preset = (Preset::Balanced.file_name(), Preset::Balanced.shipped());
    let posing = "@id(\"expected-read\") permit (principal, action, resource);";
    assert!(Policy::of_texts(&texts(&[("a.cedar", posing), preset])).is_err());
}

#[test]
fn an_empty_file_adds_nothing() {
    for empty in ["", "\n\n", "// nothing here\n"] {
        let alone = Policy::of_texts(&texts(&[("a.cedar", empty)])).unwrap();
        assert!(alone.rules().is_empty());
        let preset = (Preset::Balanced.file_name(), Preset::Balanced.shipped());
        let with = Policy::of_texts(&texts(&[("a.cedar", empty), preset])).unwrap();
        assert_eq!(with.rules(), Policy::preset(Preset::Balanced).rules());
    }
}

#[test]
fn a_file_that_is_missing_or_no_text_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing.cedar");
    let faults = Policy::load(Preset::Balanced, None, std::slice::from_ref(&missing)).unwrap_err();
    assert!(faults.to_string().contains("missing.cedar: cannot be read"), "{faults}");
    let binary = dir.path().join("binary.cedar");
    std::fs::write(&binary, [0xff, 0xfe, 0]).unwrap();
    let faults = Policy::load(Preset::Balanced, None, &[binary, missing]).unwrap_err();
    assert_eq!(faults.0.len(), 2, "{faults}");
    assert!(faults.to_string().contains("is not UTF-8"), "{faults}");
    // A folder of presets without this one is not made up for.
    let faults = Policy::load(Preset::Locked, Some(dir.path()), &[]).unwrap_err();
    assert!(faults.to_string().contains("locked.cedar: cannot be read"), "{faults}");
}

#[test]
fn ten_thousand_lines_are_read_and_the_last_is_told() {
    use std::fmt::Write;
    let mut text = String::new();
    for number in 0..2_500 {
        writeln!(
            text,
            "@id(\"r{number}\")\nforbid (\n  principal, action, resource in App::\"app{number}\"\n);"
        )
        .unwrap();
    }
    assert_eq!(text.lines().count(), 10_000);
    let policy = Policy::of_texts(&texts(&[("long.cedar", &text)])).unwrap();
    assert_eq!(policy.rules().len(), 2_500);
    assert_eq!(policy.rule("r2499").unwrap().line, 9_997);
    text.push_str("forbid (principal, action, resource) when { context.nothing };\n");
    assert_eq!(faults(&text)[0].line, Some(10_001));
}

#[test]
fn more_than_can_be_held_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let long = dir.path().join("long.cedar");
    std::fs::write(&long, vec![b'\n'; usize::try_from(MAX_FILE).unwrap() + 1]).unwrap();
    let faults = Policy::load(Preset::Balanced, None, &[long]).unwrap_err();
    assert!(faults.to_string().contains("are the most"), "{faults}");
}

#[test]
fn a_rule_that_can_never_hold_is_noted() {
    let never =
        "permit (principal is Memory, action == Action::\"ask\", resource) when { context.own && false };";
    let policy = Policy::of_texts(&texts(&[("a.cedar", never)])).unwrap();
    let [note] = policy.notes() else { panic!("{:?}", policy.notes()) };
    assert_eq!(note.line, Some(1), "{note}");
}
