//! What the reference offers of permission, and of plans after a refusal.
//!
//! Answers: is a person asked when it matters, for how long does an answer hold, and what is done after a no?
//! Carries: I-05, I-07.

use bus::message::user::{Admin, Category, Choice, Effect, Ending, Verdict};
use serde_json::json;
use system_tests::person::Person;
use system_tests::system::{Options, System};

use super::{APPOINTMENT, DRAFT, FARES, FLIGHT, NEWEST, has, kept, pairs, sent};

/// mail's own model asks for what drive has.
const MAIL_ASKS_DRIVE: &str = r#"plan: {"answer":null,"steps":[{"id":"s1","kind":"delegate","app":"mail","request":"call drive.list","after":[]}]}"#;

#[test]
fn exec_what_is_planned_and_accounted_for_asks_nobody_and_an_unnamed_receiver_asks() {
    let system = System::start(Options::default());
    let mut person = Person::join(&system, "alice");
    let outcome = person.ask(FARES, Choice::Deny);
    assert_eq!((outcome.prompts, person.take_prompts().len()), (0, 0));
    assert!(outcome.flows.iter().all(|flow| flow.decision == Verdict::Allow && flow.expected));
    let outcome = person.ask(APPOINTMENT, Choice::Deny);
    assert_eq!((outcome.outcome, outcome.prompts), (Ending::Answered, 0), "{outcome:#?}");
    assert_eq!(outcome.flows[0].by, "policy:planned-write");
    let outcome = person.ask(DRAFT, Choice::Once);
    let prompts = person.take_prompts();
    assert_eq!(pairs(&prompts), [("plan".to_owned(), "mail.create_draft".to_owned())]);
    assert!(
        prompts[0].flow.reason.contains("\"erin@x.example\", which does not stand in your words"),
        "{prompts:#?}"
    );
    assert_eq!((prompts[0].flow.category, prompts[0].flow.effect), (Category::Exec, Effect::Write));
    assert_eq!(prompts[0].warning, None, "it is in the plan");
    assert_eq!((outcome.outcome, outcome.prompts), (Ending::Answered, 1));
}

#[test]
fn exec_strict_asks_before_every_first_use() {
    let system = System::start(Options::default().set("permission.preset", "strict"));
    let mut person = Person::join(&system, "alice");
    let outcome = person.ask(FARES, Choice::Deny);
    assert_eq!(outcome.outcome, Ending::Refused);
    let mut asked = pairs(&person.take_prompts());
    asked.sort();
    let pair = |to: &str| ("plan".to_owned(), to.to_owned());
    assert_eq!(asked, [pair("metro_hail.estimate_fare"), pair("quick_ride.estimate_fare")]);
}

#[test]
fn data_stored_data_goes_to_an_app_only_after_a_yes() {
    let system = System::start(Options::default());
    let mut person = Person::join(&system, "alice");
    person.ask(APPOINTMENT, Choice::Once);
    person.take_prompts();
    person.ask_with(FLIGHT, None, |prompt| {
        Some(if prompt.flow.category == Category::Data { Choice::Deny } else { Choice::Once })
    });
    let data: Vec<_> =
        person.take_prompts().into_iter().filter(|prompt| prompt.flow.category == Category::Data).collect();
    assert_eq!(data.len(), 1);
    let flow = &data[0].flow;
    assert_eq!((flow.from.as_str(), flow.to.as_str()), ("memory", "travel_mate"));
    assert!(flow.args.to_string().contains("Robert Hill"), "exactly what would be given is shown: {flow:#?}");
    assert!(data[0].warning.is_some() && !data[0].offers.contains(&Choice::Always));
    let bookings = json!(kept(&system, "alice", "travel_mate", "bookings.jsonl")).to_string();
    assert!(bookings.contains("Paris") && !bookings.contains("Robert"), "{bookings}");
}

#[test]
fn collab_what_one_app_wants_of_another_asks_with_a_warning() {
    let system = System::start(Options::default());
    let mut person = Person::join(&system, "alice");
    let outcome = person.ask(MAIL_ASKS_DRIVE, Choice::Deny);
    let prompts = person.take_prompts();
    assert_eq!(pairs(&prompts), [("mail".to_owned(), "drive.list".to_owned())]);
    assert_eq!(prompts[0].flow.category, Category::Collab);
    assert!(prompts[0].warning.as_deref().is_some_and(|warning| warning.contains("plan")), "{prompts:#?}");
    let flow = outcome.flows.iter().find(|flow| flow.to == "drive.list").unwrap();
    assert_eq!((flow.decision, flow.by.as_str(), flow.expected), (Verdict::Deny, "user", false));
    assert!(kept(&system, "alice", "drive", "journal.jsonl").is_empty(), "drive was reached");
}

#[test]
fn once_holds_once() {
    let system = System::start(Options::default());
    let mut person = Person::join(&system, "alice");
    for _ in 0..2 {
        person.ask(MAIL_ASKS_DRIVE, Choice::Once);
        assert_eq!(person.take_prompts().len(), 1);
    }
    assert_eq!(kept(&system, "alice", "drive", "journal.jsonl").len(), 2, "both were carried out");
}

#[test]
fn session_holds_to_the_end_of_the_session_and_no_longer() {
    let mut system = System::start(Options::default());
    let mut person = Person::join(&system, "alice");
    person.ask(MAIL_ASKS_DRIVE, Choice::Session);
    assert_eq!(person.take_prompts().len(), 1);
    person.ask(MAIL_ASKS_DRIVE, Choice::Deny);
    assert_eq!(pairs(&person.take_prompts()), [], "in the same session it is not asked again");
    let session = person.session.clone();
    person.new_session();
    person.ask(MAIL_ASKS_DRIVE, Choice::Deny);
    assert_eq!(person.take_prompts().len(), 1, "in another session it is asked");
    // Cleared at the start.
    system.restart_with(&[]);
    let mut person = Person::join(&system, "alice");
    person.session = session;
    person.ask(MAIL_ASKS_DRIVE, Choice::Deny);
    assert_eq!(person.take_prompts().len(), 1, "after a restart it is asked");
}

#[test]
fn always_survives_a_restart_is_listed_and_can_be_revoked() {
    let mut system = System::start(Options::default());
    let mut person = Person::join(&system, "alice");
    let answer = |person: &mut Person, choice| {
        person.new_session();
        person.ask(MAIL_ASKS_DRIVE, choice);
        person.take_prompts().len()
    };
    assert_eq!(answer(&mut person, Choice::Always), 1);
    assert_eq!(answer(&mut person, Choice::Deny), 0, "in another session it still holds");
    system.restart_with(&[]);
    let mut person = Person::join(&system, "alice");
    assert_eq!(answer(&mut person, Choice::Deny), 0, "it survives a restart");
    // It is this user's alone.
    assert_eq!(answer(&mut Person::join(&system, "bob"), Choice::Deny), 1);

    let listed = system.secgpt(&["grants", "list", "--user", "alice", "--json"]);
    let grants = listed.outcome.as_array().unwrap().clone();
    assert_eq!(grants.len(), 1, "{listed:?}");
    assert_eq!(
        [&grants[0]["caller"], &grants[0]["functionality"], &grants[0]["scope"]],
        ["mail", "drive.list", "always"]
    );
    let id = grants[0]["id"].as_str().unwrap();
    // Another user cannot take it back.
    assert_eq!(system.secgpt(&["grants", "revoke", id, "--user", "bob"]).code, Some(1));
    assert_eq!(system.secgpt(&["grants", "revoke", id, "--user", "alice"]).code, Some(0));
    assert_eq!(answer(&mut person, Choice::Deny), 1, "after it was revoked it is asked");
    system.restart_with(&[]);
    assert_eq!(Person::join(&system, "alice").admin(&Admin::Grants).unwrap(), json!([]));
}

#[test]
fn deny_is_final_for_the_query_and_not_asked_again_and_again() {
    let system = System::start(Options::default());
    let mut person = Person::join(&system, "alice");
    let outcome = person.ask(&has("mail", "call drive.list and drive.list"), Choice::Deny);
    assert!(person.take_prompts().len() <= 2, "{outcome:#?}");
    assert!(kept(&system, "alice", "drive", "journal.jsonl").is_empty());
    // The next query asks anew.
    person.ask(MAIL_ASKS_DRIVE, Choice::Once);
    assert_eq!(person.take_prompts().len(), 1);
}

#[test]
fn irreversible_is_asked_each_time_and_never_granted_for_longer() {
    let system = System::start(Options::default());
    let mut person = Person::join(&system, "alice");
    let send = "Send an email to dana@x.example saying 'See you at seven.'";
    for _ in 0..2 {
        // Even a client that answers what was not offered gets no more than a no.
        person.ask(send, Choice::Always);
        let prompts = person.take_prompts();
        assert_eq!(prompts.len(), 1);
        assert_eq!(prompts[0].offers, [Choice::Once, Choice::Deny]);
        assert_eq!(prompts[0].flow.effect, Effect::Irreversible);
    }
    assert!(kept(&system, "alice", "mail", "journal.jsonl").is_empty(), "what was not offered is no consent");
    assert_eq!(person.admin(&Admin::Grants).unwrap(), json!([]));
    let outcome = person.ask(send, Choice::Once);
    assert_eq!(outcome.outcome, Ending::Answered);
    assert_eq!(kept(&system, "alice", "mail", "journal.jsonl").len(), 1);
}

#[test]
fn a_prompt_that_nobody_answers_counts_as_no() {
    let system = System::start(Options::default().set("permission.prompt_timeout", "1s"));
    let mut person = Person::join(&system, "alice");
    let outcome = person.ask_with(DRAFT, None, |_| None);
    assert_eq!(outcome.outcome, Ending::Refused);
    let flow = outcome.flows.iter().find(|flow| flow.decision == Verdict::Deny).unwrap();
    assert_eq!(flow.by, "timeout");
    assert!(kept(&system, "alice", "mail", "journal.jsonl").is_empty());
}

#[test]
fn where_nobody_is_nothing_is_asked_and_the_exit_code_says_refused() {
    let system = System::start(Options::default());
    let asked = system.ask(DRAFT);
    assert_eq!(asked.code, Some(3), "{asked:?}");
    assert_eq!(asked.outcome["outcome"], "refused");
    assert_eq!(asked.outcome["prompts"], 0);
    assert_eq!(asked.flows("mail.create_draft")[0]["by"], "policy:unattended");
    // The kinds of user of the command line.
    assert_eq!(system.ask_with(&["--consent", "expected"], DRAFT).code, Some(0));
    assert_eq!(system.ask_with(&["--consent", "once"], DRAFT).code, Some(0));
    let heeding = system.ask_with(&["--consent", "expected"], NEWEST);
    assert!(heeding.flows("mail.send").iter().all(|flow| flow["decision"] == "deny"), "{heeding:?}");
}

#[test]
fn replan_after_a_refusal_the_planner_is_told_what_was_refused() {
    let system = System::start(Options::default());
    let mut person = Person::join(&system, "alice");
    let send = "Send an email to dana@x.example saying 'See you at seven.'";
    let first = person.ask(send, Choice::Deny);
    assert_eq!(first.outcome, Ending::Refused);
    system.model().reset();
    let second = person.replan(send, Choice::Deny);
    let request = sent(&system, "planner").remove(0);
    let asked =
        request["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap().to_owned();
    assert!(asked.contains("Refused:\n- mail.send"), "{asked}");
    assert_eq!(second.plan, json!({"steps": []}), "the new plan does without");
    assert!(second.answer.unwrap().contains("Without mail.send"));
}
