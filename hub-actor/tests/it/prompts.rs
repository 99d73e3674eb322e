//! Who may answer a prompt, with what, and for how long it counts.

use std::rc::Rc;
use std::time::Duration;

use bus::id::WorkId;
use bus::message::user::{Admin, Choice, Consent, Ending, Happening, Verdict, Width};
use serde_json::json;

use crate::client::Client;
use crate::town::{Plot, Town, calls, plain, run};

#[test]
fn a_write_of_the_plan_asks_and_a_refusal_is_an_outcome_of_its_own() {
    run(async {
        let mut town = Town::found(Plot::new(vec![calls(&[("mail.draft", "hello")])], plain())).await;
        let outcome = town.ann.ask("draft it").await;
        assert_eq!((outcome.outcome, outcome.prompts), (Ending::Refused, 1));
        assert_eq!(outcome.flows[0].by, "user");
        assert!(outcome.error.unwrap().contains("You refused it."));
        assert!(!town.apps_started().iter().any(|app| app == "mail"));
    });
}

#[test]
fn what_cannot_be_undone_is_never_allowed_for_always() {
    run(async {
        let plot = Plot::new(vec![calls(&[("mail.send", "bob@x.example")])], plain());
        let mut town = Town::found(plot.answering(|_| Some(Choice::Always))).await;
        let outcome = town.ann.ask("send it to bob@x.example").await;
        assert_eq!(town.ann.prompts.borrow()[0].offers, [Choice::Once, Choice::Deny]);
        assert_eq!((outcome.outcome, outcome.flows[0].decision), (Ending::Refused, Verdict::Deny));
    });
}

#[test]
fn always_is_stored_listed_kept_over_a_restart_and_revoked() {
    run(async {
        let plot = Plot::new(vec![calls(&[("mail.draft", "hello")])], plain());
        let mut town = Town::found(plot.answering(|_| Some(Choice::Always))).await;
        assert_eq!(town.ann.ask("draft it").await.outcome, Ending::Answered);
        assert_eq!(town.ann.ask("draft it").await.prompts, 0);
        let grants = town.ann.admin(Admin::Grants).await.unwrap();
        let id = grants[0]["id"].as_str().unwrap().to_owned();
        assert_eq!(
            (&grants[0]["functionality"], &grants[0]["scope"]),
            (&json!("mail.draft"), &json!("always"))
        );
        town.restart_hub().await;
        assert_eq!(town.ann.ask("draft it").await.prompts, 0);
        let bob = Client::join(&town.broker, "bob", Rc::new(|_| None)).await;
        assert!(bob.admin(Admin::Revoke { grant: id.clone() }).await.is_err());
        town.ann.admin(Admin::Revoke { grant: id }).await.unwrap();
        assert_eq!(town.ann.admin(Admin::Grants).await.unwrap(), json!([]));
        assert_eq!(town.ann.ask("draft it").await.prompts, 1);
    });
}

#[test]
fn an_always_may_have_an_end_and_an_end_may_be_given_later() {
    run(async {
        let plot = Plot::new(vec![calls(&[("mail.draft", "hello")])], plain()).answering(|_| None);
        let mut town = Town::found(plot).await;
        let query = town.ann.query("draft it");
        town.ann.send(&query).await.unwrap();
        let prompt = town.ann.next_prompt().await;
        town.ann.say(&Consent { days: Some(30), ..Consent::new(prompt.id, Choice::Always) }).await;
        town.ann.await_end(&query.id).await;
        let left = |grants: &serde_json::Value| {
            let field = |name: &str| grants[0][name].as_u64().unwrap();
            (field("expires") - field("created")) / (24 * 60 * 60)
        };
        let grants = town.ann.admin(Admin::Grants).await.unwrap();
        assert_eq!(left(&grants), 30);
        let grant = grants[0]["id"].as_str().unwrap().to_owned();
        let bob = Client::join(&town.broker, "bob", Rc::new(|_| None)).await;
        let end = |days| Admin::Expire { grant: grant.clone(), days };
        assert!(bob.admin(end(7)).await.is_err());
        assert!(town.ann.admin(end(31)).await.is_err() && town.ann.admin(end(0)).await.is_err());
        town.ann.admin(end(7)).await.unwrap();
        // The end is stored, not only known.
        town.restart_hub().await;
        assert_eq!(left(&town.ann.admin(Admin::Grants).await.unwrap()), 7);
    });
}

#[test]
fn nobody_answers_and_it_counts_as_refused() {
    run(async {
        let mut plot = Plot::new(vec![calls(&[("mail.draft", "hello")])], plain()).answering(|_| None);
        plot.prompt_timeout = Duration::from_millis(300);
        let mut town = Town::found(plot).await;
        let query = town.ann.query("draft it");
        let (outcome, happened) = town.ann.ask_with(query).await;
        assert_eq!((outcome.outcome, outcome.flows[0].by.as_str()), (Ending::Refused, "timeout"));
        assert!(happened.iter().any(|what| matches!(what, Happening::Waiting { .. })));
        let late = town.ann.prompts.borrow()[0].id.clone();
        town.ann.consent(late, Choice::Once).await;
        town.dropped("no such prompt").await;
    });
}

#[test]
fn another_user_cannot_answer() {
    run(async {
        let plot = Plot::new(vec![calls(&[("mail.draft", "hello")])], plain()).answering(|_| None);
        let mut town = Town::found(plot).await;
        let bob = Client::join(&town.broker, "bob", Rc::new(|_| None)).await;
        let query = town.ann.query("draft it");
        town.ann.send(&query).await.unwrap();
        let prompt = town.ann.next_prompt().await;
        bob.consent(prompt.id.clone(), Choice::Once).await;
        town.dropped("no such prompt of this user").await;
        town.ann.consent(prompt.id.clone(), Choice::Deny).await;
        town.ann.consent(prompt.id, Choice::Once).await;
        let (outcome, _) = town.ann.await_end(&query.id).await;
        assert_eq!(outcome.outcome, Ending::Refused);
    });
}

#[test]
fn a_new_plan_is_told_what_was_refused() {
    run(async {
        let plans = vec![calls(&[("mail.draft", "hello")]), json!({"answer": "then not", "steps": []})];
        let mut town = Town::found(Plot::new(plans, plain())).await;
        let first = town.ann.query("draft it");
        town.ann.ask_with(first.clone()).await;
        let mut again = town.ann.query("");
        again.text = "again".into();
        again.replan_of = Some(first.id);
        let (outcome, _) = town.ann.ask_with(again).await;
        assert_eq!(outcome.answer.as_deref(), Some("then not"));
        let asked = town.gateway.asked.borrow();
        let said = serde_json::to_string(&asked[1].turns).unwrap();
        assert!(
            said.contains("draft it") && said.contains("Refused:\\n- mail.draft: You refused it."),
            "{said}"
        );
    });
}

#[test]
fn under_strict_every_first_use_asks_and_under_locked_it_is_denied() {
    run(async {
        for (preset, prompts, ending) in [("strict", 1, Ending::Answered), ("locked", 0, Ending::Refused)] {
            let functionality = if preset == "strict" { "mail.newest" } else { "mail.draft" };
            let mut plot = Plot::new(vec![calls(&[(functionality, "x")])], plain());
            plot.preset = preset;
            let mut town = Town::found(plot.answering(|_| Some(Choice::Once))).await;
            let outcome = town.ann.ask("go").await;
            assert_eq!((outcome.prompts, outcome.outcome), (prompts, ending), "{preset}");
        }
    });
}

#[test]
fn a_change_as_planned_runs_unasked_where_the_user_named_who_receives() {
    run(async {
        let plans =
            vec![calls(&[("mail.draft", "bob@x.example")]), calls(&[("mail.draft", "eve@x.example")])];
        let mut town = Town::found(Plot::new(plans, plain())).await;
        let outcome = town.ann.ask("write to bob@x.example").await;
        assert_eq!((outcome.outcome, outcome.prompts), (Ending::Answered, 0));
        assert_eq!(outcome.flows[0].by, "policy:planned-write");
        // Control: another receiver is asked about, without a warning, as it is the plan's.
        let outcome = town.ann.ask("write to him again").await;
        assert_eq!((outcome.outcome, outcome.prompts), (Ending::Refused, 1));
        assert!(town.ann.prompts.borrow()[0].warning.is_none());
        let told = &town.ann.prompts.borrow()[0].flow.reason;
        assert!(told.contains("text is \"eve@x.example\", which does not stand in your words."), "{told}");
    });
}

#[test]
fn a_loop_is_one_prompt_with_a_list_and_can_be_answered_item_by_item() {
    run(async {
        let three = calls(&[
            ("mail.draft", "a@x.example"),
            ("mail.draft", "b@x.example"),
            ("mail.draft", "c@x.example"),
        ]);
        let plot = Plot::new(vec![three], plain()).answering(|_| None);
        let mut town = Town::found(plot).await;
        let query = town.ann.query("write to all of them");
        town.ann.send(&query).await.unwrap();
        let prompt = town.ann.next_prompt().await;
        let asked: Vec<&str> = std::iter::once(&prompt.flow)
            .chain(&prompt.others)
            .map(|flow| flow.args["text"].as_str().unwrap())
            .collect();
        assert_eq!(asked, ["a@x.example", "b@x.example", "c@x.example"]);
        let widths = [Width::Shown, Width::Domain("x.example".into()), Width::Anybody];
        assert_eq!(prompt.widths, widths);
        let mut consent = Consent::new(prompt.id, Choice::Session);
        consent.only = Some(vec![0, 2, 7]);
        consent.width = Some(Width::Anybody);
        town.ann.say(&consent).await;
        let (outcome, _) = town.ann.await_end(&query.id).await;
        assert_eq!(outcome.prompts, 1);
        let verdicts: Vec<Verdict> = ["a@x.example", "b@x.example", "c@x.example"]
            .iter()
            .map(|to| outcome.flows.iter().find(|flow| flow.args["text"] == **to).unwrap().decision)
            .collect();
        assert_eq!(verdicts, [Verdict::Allow, Verdict::Deny, Verdict::Allow]);
        let grants = town.ann.admin(Admin::Grants).await.unwrap();
        assert_eq!(grants[0]["reach"], json!("to anybody"));
        let stats = town.ann.admin(Admin::Stats).await.unwrap();
        assert_eq!(
            (&stats["queries"], &stats["prompts"], &stats["flows_asked"]),
            (&json!(1), &json!(1), &json!(3))
        );
        assert_eq!((&stats["flows_allowed"]["user"], &stats["flows_denied"]["user"]), (&json!(2), &json!(1)));
    });
}

#[test]
fn a_plan_of_two_hundred_steps_is_asked_about_in_a_few_lists_and_carried_out_once_each() {
    run(async {
        let receivers: Vec<String> = (0..bus::limits::MAX_STEPS).map(|n| format!("r{n}@x.example")).collect();
        let steps: Vec<(&str, &str)> = receivers.iter().map(|to| ("mail.draft", to.as_str())).collect();
        let plot = Plot::new(vec![calls(&steps)], plain());
        let mut town = Town::found(plot.answering(|_| Some(Choice::Once))).await;
        let outcome = town.ann.ask("write to all of them").await;
        assert_eq!(outcome.outcome, Ending::Answered, "{:?}", outcome.error);
        let prompts = town.ann.prompts.borrow();
        let asked: usize = prompts.iter().map(|prompt| 1 + prompt.others.len()).sum();
        assert_eq!(asked, receivers.len());
        assert!(prompts.len() <= receivers.len().div_ceil(64) + 1, "{} prompts", prompts.len());
        let mut done: Vec<&str> =
            outcome.results.iter().filter_map(|result| result.value["text"].as_str()).collect();
        let mut wanted: Vec<String> = receivers.iter().map(|to| format!("mail says {to}")).collect();
        done.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(done, wanted);
    });
}

#[test]
fn a_prompt_is_answered_once_and_one_that_was_never_asked_not_at_all() {
    run(async {
        let plot = Plot::new(vec![calls(&[("mail.draft", "hello")])], plain()).answering(|_| None);
        let mut town = Town::found(plot).await;
        let other = Client::join(&town.broker, "ann", Rc::new(|_| None)).await;
        town.ann.consent(WorkId::fresh(), Choice::Always).await;
        town.dropped("no such prompt").await;
        let query = town.ann.query("draft it");
        town.ann.send(&query).await.unwrap();
        let prompt = town.ann.next_prompt().await;
        // Two clients of one user, at once: the first answer counts.
        town.ann.consent(prompt.id.clone(), Choice::Once).await;
        other.consent(prompt.id.clone(), Choice::Deny).await;
        let (outcome, _) = town.ann.await_end(&query.id).await;
        assert_eq!(outcome.flows.len(), 1);
        assert_eq!(outcome.flows[0].by, "user");
        let again = town.ann.query("draft it");
        let (outcome, _) = {
            town.ann.send(&again).await.unwrap();
            let next = town.ann.next_prompt().await;
            // An answer to the old one is none to the new one.
            town.ann.consent(prompt.id, Choice::Once).await;
            town.ann.consent(next.id, Choice::Deny).await;
            town.ann.await_end(&again.id).await
        };
        assert_eq!(outcome.outcome, Ending::Refused);
    });
}
