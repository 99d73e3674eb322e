//! What a person or an app's author got wrong.

use serde_json::json;
use system_tests::scratch::Scratch;
use system_tests::stranger::{Strangers, reads};
use system_tests::system::{Options, System};

use super::{error_of, works};

#[test]
fn a_setting_that_does_not_exist_ends_with_what_is_allowed_before_anything_starts() {
    let system = System::at_rest(Options::default());
    let scratch = Scratch::new("settings");
    let file = scratch.join("secgpt.toml");
    std::fs::write(&file, "[model]\nbase_ulr = \"x\"\n").unwrap();
    let in_a_file = system.secgpt(&["--config", file.to_str().unwrap(), "ask", "--json", "hello"]);
    let as_a_flag = system.secgpt(&["--set", "model.base_ulr=x", "ask", "--json", "hello"]);
    for asked in [&in_a_file, &as_a_flag] {
        assert_eq!(asked.code, Some(2), "{asked:?}");
        assert!(asked.outcome["error"].as_str().unwrap().contains("model.base_ulr"), "{asked:?}");
        assert!(asked.outcome["hint"].as_str().unwrap().contains("`model.base_url`"), "{asked:?}");
    }
    assert!(in_a_file.outcome["error"].as_str().unwrap().contains("secgpt.toml"), "{in_a_file:?}");
    assert!(in_a_file.outcome["hint"].as_str().unwrap().contains("allowed here: provider"), "{in_a_file:?}");
    assert!(!system.state().exists(), "nothing was started");
}

#[test]
fn an_app_or_functionality_that_does_not_exist_is_named_with_what_was_perhaps_meant() {
    let system = System::start(Options::default());
    for (query, words) in [
        (
            "plan: {\"steps\":[{\"id\":\"a\",\"kind\":\"delegate\",\"app\":\"metro_hal\",\"request\":\"x\"}]}",
            "there is no app \"metro_hal\"; is metro_hail meant?",
        ),
        (
            "plan: {\"steps\":[{\"id\":\"a\",\"kind\":\"call\",\"functionality\":\"metro_hail.estimate_fee\"}]}",
            "there is no functionality \"metro_hail.estimate_fee\"; is metro_hail.estimate_fare meant?",
        ),
        (
            "plan: {\"steps\":[{\"id\":\"a\",\"kind\":\"call\",\"functionality\":\"bank.pay\"}]}",
            "there is no functionality \"bank.pay\"",
        ),
        (
            "plan: {\"steps\":[{\"id\":\"a\",\"kind\":\"call\",\"functionality\":\"secgpt.spoke.>\"}]}",
            "there is no functionality \"secgpt.spoke.>\"",
        ),
    ] {
        let (asked, _) = super::ask(&system, query);
        assert!(error_of(&asked).contains(words), "{asked:?}");
        assert_eq!(asked.outcome["flows"], json!([]), "nothing moved");
    }
    let shown = system.secgpt(&["apps", "show", "metro_hal"]);
    assert_eq!(shown.code, Some(1));
    assert!(
        shown.stderr.contains("there is no app metro_hal") && shown.stderr.contains("metro_hail"),
        "{shown:?}"
    );
    works(&system);
}

#[test]
fn an_enabled_app_that_is_not_there_is_named_and_the_others_work() {
    let enabled = json!(["metro_hail", "quick_ride", "teleporter"]).to_string();
    let system = System::start(Options::default().set("apps.enabled", &enabled));
    let listed = system.secgpt(&["apps", "list"]);
    assert_eq!(listed.code, Some(0));
    assert!(listed.stderr.contains("there is no app teleporter"), "{listed:?}");
    assert!(system.log("hub").contains("there is no app teleporter"));
    works(&system);
}

#[test]
fn manifests_and_schemas_that_do_not_parse_are_named_with_file_and_line_and_the_others_work() {
    let strangers = Strangers::new();
    for (app, broken) in [
        ("torn", "name = \"torn\"\nkind = \"mcp\n"),
        ("misspelt", "name = \"misspelt\"\nkind = \"prompt\"\ndescription = \"\"\nnetwrok = 1\n"),
        ("unkind", "name = \"unkind\"\nkind = \"magic\"\ndescription = \"\"\n"),
    ] {
        std::fs::write(strangers.folder(app).join("app.toml"), broken).unwrap();
    }
    let strangers = strangers.with("schemer", "", &[reads("go", json!({"say": 1}))], "");
    std::fs::write(strangers.folder("schemer").join("go.request.json"), "{\n\"type\": object}").unwrap();
    let system = System::start(strangers.install(Options::default()));
    let log = system.log("hub");
    let listed = system.secgpt(&["apps", "list"]);
    for words in [
        "torn/app.toml:2",
        "misspelt/app.toml:4: unknown field `netwrok`, expected one of",
        "unkind/app.toml:2: unknown variant `magic`, expected one of `prompt`, `mcp`, `http`",
        "schemer/go.request.json:2",
    ] {
        assert!(listed.stderr.contains(words), "{words} is not said: {}", listed.stderr);
        assert!(log.contains(words), "{words} is not in the hub's log:\n{log}");
    }
    works(&system);
}

#[test]
fn arguments_and_results_that_do_not_fit_their_schemas_stop_at_the_hub() {
    let number = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": false});
    let mut liar = reads("go", json!({"say": {"n": "one"}}));
    liar.response = Some(number.clone());
    let mut picky = reads("pick", json!({"echo": true}));
    picky.request = number;
    let strangers = Strangers::new().with("liar", "", &[liar, picky], "");
    let system = System::start(strangers.install(Options::default()));
    let steps = [super::call("a", "liar.go"), super::metro("b")];
    let (asked, _) = super::ask(&system, &super::planned(&steps));
    let said = super::failure(&asked, "liar.go");
    assert!(said.contains("does not fit its response schema") && said.contains("/n"), "{said}");
    assert_eq!(asked.value("metro_hail.estimate_fare")["fare"], 51.8);
    // The plan's own arguments are checked with the plan; those that an app gives, when they are there.
    let wrong = [json!({"id": "a", "kind": "call", "functionality": "liar.pick", "args": {"n": "one"}})];
    let (asked, _) = super::ask(&system, &super::planned(&wrong));
    assert!(
        error_of(&asked).contains("the arguments do not fit liar.pick") && error_of(&asked).contains("/n"),
        "{asked:?}"
    );
    let from = [
        super::metro("a"),
        json!({"id": "b", "kind": "call", "functionality": "liar.pick", "args": {"n": {"$from": "a", "path": "currency"}}}),
    ];
    let (asked, _) = super::ask(&system, &super::planned(&from));
    let said = super::failure(&asked, "liar.pick");
    assert!(said.contains("do not fit the request schema of liar.pick"), "{said}");
    // Control: what fits arrives.
    let fits = [json!({"id": "a", "kind": "call", "functionality": "liar.pick", "args": {"n": 1}})];
    assert_eq!(super::ask(&system, &super::planned(&fits)).0.value("liar.pick")["got"]["n"], 1);
}
