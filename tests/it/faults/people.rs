//! People who change their minds.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use bus::acl::Role;
use bus::envelope::pack;
use bus::id::UserId;
use bus::message::user::{Choice, Consent, Ending, Verdict};
use bus::subject::{Op, Subject};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use system_tests::person::{Person, Tap, address, signer};
use system_tests::program::eventually;
use system_tests::raw::Raw;
use system_tests::stranger::Strangers;
use system_tests::system::{Options, System, descendants, runs};

use super::{PLAIN, for_a_stranger, keep, works};

/// A query that hangs at the model.
fn hanging(system: &System) -> Child {
    system.model().reset();
    system.model().fault(&json!({"kind": "hang", "times": 1, "on": "planner"}));
    let mut command = system.command(&["--json", "ask", "--private", PLAIN]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("the model was asked", || (system.model().faults_met() == 1).then_some(()));
    child
}

#[test]
fn ctrl_c_cancels_the_query_at_once_and_the_next_is_answered() {
    let system = System::start(Options::default());
    let child = hanging(&system);
    let begun = Instant::now();
    super::send(child.id(), Signal::SIGINT);
    let output = child.wait_with_output().unwrap();
    let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &outcome["error"]), (Some(1), &json!("the query was cancelled")));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    works(&system);
}

#[test]
fn ctrl_c_in_a_command_that_started_everything_leaves_nothing() {
    let system = System::at_rest(Options::default());
    let child = hanging(&system);
    let processes = descendants(child.id());
    assert!(5 <= processes.len(), "{processes:?}");
    super::send(child.id(), Signal::SIGINT);
    let output = child.wait_with_output().unwrap();
    let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &outcome["error"]), (Some(1), &json!("the query was cancelled")));
    eventually("everything has ended", || (!processes.iter().any(|pid| runs(*pid))).then_some(()));
    works(&system);
}

#[test]
fn of_two_clients_that_answer_one_prompt_the_first_counts() {
    let strangers = Strangers::new().with("notes", "", &[keep()], "");
    let system = System::start(strangers.install(Options::default()));
    let mut ann = Person::join(&system, "ann");
    ann.private = true;
    let tap = Tap::join(&system);
    let user = UserId::parse("ann").unwrap();
    let credential = signer(&system).issue(&Role::User(user.clone()), None).unwrap();
    let mut other = Raw::connect(&address(&system).url, Some(&credential)).unwrap();
    let subject = Subject::UserOut { user, op: Op::CONSENT }.to_string();
    for (first, second, verdict) in
        [(Choice::Once, Choice::Deny, Verdict::Allow), (Choice::Deny, Choice::Once, Verdict::Deny)]
    {
        let outcome = ann.ask_with(&for_a_stranger(), None, |prompt| {
            let consent = Consent::new(prompt.id.clone(), first);
            other.publish(&subject, None, &pack(&consent).unwrap()).unwrap();
            let id = json!(prompt.id);
            // The other's word has passed the broker before ours is sent.
            let _ =
                tap.until("the first answer", |heard| heard.subject == subject && heard.body["prompt"] == id);
            Some(second)
        });
        assert_eq!((outcome.prompts, outcome.flows[0].decision), (1, verdict), "{outcome:?}");
        let ending = if verdict == Verdict::Allow { Ending::Answered } else { Ending::Refused };
        assert_eq!(outcome.outcome, ending, "{outcome:?}");
        assert_eq!(outcome.results[0].error.is_none(), verdict == Verdict::Allow);
    }
}
