//! Requests from app to app.

use std::cell::RefCell;
use std::rc::Rc;

use bus::acl::Role;
use bus::envelope::Message;
use bus::id::{SpokeAddr, SpokeId, WorkId};
use bus::message::isc::{Probe, Probed, Request, Response};
use bus::message::task::{Failure, FailureCode};
use bus::message::user::{Choice, Ending, Verdict};
use bus::subject::{Leaf, Op, Service, Subject};
use serde_json::{Value, json};

use crate::peers::{PATIENCE, Spoke};
use crate::town::{Plot, Town, delegate, run, well};

type Got = Rc<RefCell<Vec<Result<Value, Failure>>>>;

/// A delegate of `mail` that asks for these, one after another.
fn asking(wants: &'static [(&'static str, &'static str)]) -> (Plot, Got) {
    let got: Got = Rc::default();
    let list = Rc::clone(&got);
    let script = well(move |spoke, task| {
        let list = Rc::clone(&list);
        async move {
            for (functionality, text) in wants {
                let result = spoke.ask(&task, functionality, json!({"text": text})).await;
                list.borrow_mut().push(result);
            }
            "done".to_owned()
        }
    });
    (Plot::new(vec![delegate("mail")], script), got)
}

fn code(result: &Result<Value, Failure>) -> FailureCode {
    result.as_ref().unwrap_err().code
}

#[test]
fn an_allowed_request_is_done_by_the_other_app_and_labelled() {
    run(async {
        let (plot, got) = asking(&[("drive.read", "x"), ("drive.read", "y")]);
        let mut town = Town::found(plot.answering(|_| Some(Choice::Once))).await;
        let outcome = town.ann.ask("go").await;
        assert_eq!(got.borrow()[0], Ok(json!({"text": "drive says x"})));
        let prompt = town.ann.prompts.borrow()[0].clone();
        assert_eq!((prompt.flow.from.as_str(), prompt.flow.to.as_str()), ("mail", "drive.read"));
        assert_eq!((prompt.flow.args, prompt.apps_words.as_deref()), (json!({"text": "x"}), Some("because")));
        assert!(prompt.warning.is_some() && !prompt.flow.expected);
        assert_eq!((outcome.prompts, outcome.flows.len()), (2, 3));
        // From now on the caller may carry what drive said.
        assert!(outcome.flows[2].labels.contains(&"app:drive".to_owned()), "{:?}", outcome.flows[2]);
    });
}

#[test]
fn a_request_without_consent_runs_nothing_and_the_delegate_still_answers() {
    run(async {
        let (plot, got) = asking(&[("drive.read", "x"), ("mail.send", "eve@evil.example")]);
        let mut town = Town::found(plot).await;
        let mut query = town.ann.query("go");
        query.attended = false;
        let (outcome, _) = town.ann.ask_with(query).await;
        assert_eq!((outcome.outcome, outcome.prompts), (Ending::Answered, 0));
        assert!(got.borrow().iter().all(|result| code(result) == FailureCode::Refused));
        let denied: Vec<_> = outcome.flows.iter().filter(|flow| flow.decision == Verdict::Deny).collect();
        assert_eq!(denied.len(), 2);
        assert!(denied.iter().all(|flow| flow.by == "policy:unattended"));
        assert_eq!(town.apps_started(), ["mail"]);
    });
}

#[test]
fn an_app_reads_its_own_data_by_its_own_process_without_a_prompt() {
    run(async {
        let (plot, got) = asking(&[("mail.newest", "x")]);
        let mut town = Town::found(plot).await;
        let outcome = town.ann.ask("go").await;
        assert_eq!(got.borrow()[0], Ok(json!({"text": "mail says x"})));
        assert_eq!((outcome.prompts, town.apps_started().len()), (0, 1));
    });
}

#[test]
fn an_app_that_was_refused_cannot_ask_until_the_user_gives_in() {
    run(async {
        let (plot, got) = asking(&[("drive.read", "x"), ("drive.read", "please"), ("drive.read", "x")]);
        let mut town = Town::found(plot).await;
        let outcome = town.ann.ask("go").await;
        assert_eq!(outcome.prompts, 1);
        assert!(got.borrow().iter().all(|result| code(result) == FailureCode::Refused));
    });
}

#[test]
fn what_does_not_exist_or_does_not_fit_is_said_and_never_asked() {
    run(async {
        let got: Got = Rc::default();
        let list = Rc::clone(&got);
        let script = well(move |spoke: Spoke, task: WorkId| {
            let list = Rc::clone(&list);
            async move {
                for (name, args) in
                    [("bank.pay", json!({})), ("no name", json!({})), ("drive.read", json!({"text": 5}))]
                {
                    let result = spoke.ask(&task, name, args).await;
                    list.borrow_mut().push(result);
                }
                let subject = spoke.out(Service::Isc, Op::PROBE);
                for name in ["bank.pay", "drive.read"] {
                    let probe = Probe { functionality: name.into() };
                    let probed: Probed = spoke.bus.request(&subject, &probe, None, PATIENCE).await.unwrap();
                    assert_eq!(matches!(probed, Probed::Found { .. }), name == "drive.read");
                }
                "done".to_owned()
            }
        });
        let mut town = Town::found(Plot::new(vec![delegate("mail")], script)).await;
        let outcome = town.ann.ask("go").await;
        let codes: Vec<_> = got.borrow().iter().map(code).collect();
        assert_eq!(codes, [FailureCode::Unknown, FailureCode::Unknown, FailureCode::Arguments]);
        assert_eq!((outcome.prompts, outcome.flows.len()), (0, 1));
    });
}

#[test]
fn a_grant_for_the_session_is_asked_for_once() {
    run(async {
        let wants = &[("drive.read", "1"), ("drive.read", "2"), ("drive.read", "3"), ("drive.read", "4")];
        let (plot, got) = asking(wants);
        let mut town = Town::found(plot.answering(|_| Some(Choice::Session))).await;
        let outcome = town.ann.ask("go").await;
        assert!(got.borrow().iter().all(Result::is_ok));
        // What drive said may go back to drive.
        assert_eq!(outcome.prompts, 1);
        assert_eq!(town.ann.ask("go").await.prompts, 0);
    });
}

#[test]
fn a_spoke_cannot_ask_for_a_task_that_is_not_its_own() {
    run(async {
        let foreign: Rc<RefCell<Option<(Spoke, WorkId)>>> = Rc::default();
        let kept = Rc::clone(&foreign);
        let script = well(move |spoke: Spoke, task: WorkId| {
            let kept = Rc::clone(&kept);
            async move {
                if spoke.app() == "mail" {
                    *kept.borrow_mut() = Some((spoke, task));
                    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                } else {
                    while kept.borrow().is_none() {
                        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                    }
                    let theirs = kept.borrow().as_ref().unwrap().1.clone();
                    let request = Request {
                        task: theirs,
                        functionality: "mail.newest".into(),
                        args: json!({"text": "x"}),
                        why: String::new(),
                    };
                    let subject = spoke.out(Service::Isc, Op::REQUEST);
                    let answer = spoke
                        .bus
                        .request::<_, Response>(
                            &subject,
                            &request,
                            None,
                            std::time::Duration::from_millis(300),
                        )
                        .await;
                    assert!(answer.is_err(), "{answer:?}");
                }
                "done".to_owned()
            }
        });
        let plan = json!({"answer": null, "steps": [
            {"id": "s1", "kind": "delegate", "app": "mail", "request": "a", "after": []},
            {"id": "s2", "kind": "delegate", "app": "drive", "request": "b", "after": []}]});
        let mut town = Town::found(Plot::new(vec![plan], script)).await;
        let outcome = town.ann.ask("go").await;
        assert_eq!(outcome.flows.len(), 2, "{:?}", outcome.flows);
        town.dropped("this spoke has no such task").await;
    });
}

#[test]
fn a_reply_subject_that_is_not_the_callers_own_is_dropped_and_recorded() {
    run(async {
        let script = well(|spoke: Spoke, task: WorkId| async move {
            let request = Request {
                task,
                functionality: "mail.newest".into(),
                args: json!({"text": "x"}),
                why: String::new(),
            };
            let other = SpokeAddr { app: spoke.addr.app.clone(), id: SpokeId::fresh() };
            let foreign = Subject::SpokeIn { spoke: other, leaf: Leaf::Task }.to_string();
            let payload = bus::envelope::pack(&request).unwrap();
            let subject = spoke.out(Service::Isc, Op::REQUEST).to_string();
            spoke.bus.nats().publish_with_reply(subject, foreign, payload).await.unwrap();
            "done".to_owned()
        });
        let mut town = Town::found(Plot::new(vec![delegate("mail")], script)).await;
        let outcome = town.ann.ask("go").await;
        assert_eq!(outcome.flows.len(), 1);
        town.dropped("is not the caller's own").await;
    });
}

#[test]
fn requests_that_lead_to_one_another_come_to_an_end() {
    run(async {
        let depth: Rc<RefCell<Vec<Failure>>> = Rc::default();
        let seen = Rc::clone(&depth);
        let script = crate::peers::script(move |spoke: Spoke, task| {
            let seen = Rc::clone(&seen);
            async move {
                let other = if spoke.app() == "drive" { "mail.newest" } else { "drive.read" };
                let result = spoke.ask(&task.id, other, json!({"text": "x"})).await;
                if let Err(failure) = &result {
                    seen.borrow_mut().push(failure.clone());
                }
                spoke.done(&task.id, result.or(Ok(json!({"text": "the end"})))).await;
            }
        });
        let plot = Plot::new(vec![crate::town::calls(&[("mail.newest", "x")])], script);
        let mut town = Town::found(plot.answering(|_| Some(Choice::Once))).await;
        let outcome = town.ann.ask("go").await;
        // The spoke that composes the answer may not ask for anything, whatever its model wants.
        let said: Vec<String> = depth.borrow().iter().map(|failure| failure.detail.clone()).collect();
        assert!(said[0].contains("led to one another") && said[1].contains("may not ask"), "{said:?}");
        assert_eq!(outcome.prompts, 4);
    });
}

#[test]
fn a_task_that_asks_without_end_is_refused_after_the_number_its_manifest_allows() {
    run(async {
        let refused: Got = Rc::default();
        let list = Rc::clone(&refused);
        let script = well(move |spoke: Spoke, task: WorkId| {
            let list = Rc::clone(&list);
            async move {
                for turn in 0..manifest::limits::DEFAULT.requests + 3 {
                    let result = spoke.ask(&task, "mail.newest", json!({"text": turn.to_string()})).await;
                    list.borrow_mut().push(result);
                }
                "done".to_owned()
            }
        });
        let mut town = Town::found(Plot::new(vec![delegate("mail")], script)).await;
        town.ann.ask("go").await;
        let most = usize::try_from(manifest::limits::DEFAULT.requests).unwrap();
        assert_eq!(refused.borrow().iter().filter(|result| result.is_ok()).count(), most);
        assert!(refused.borrow()[most].as_ref().unwrap_err().detail.contains("the most it may"));
    });
}

#[test]
fn a_flow_whose_decision_cannot_be_recorded_does_not_happen() {
    run(async {
        let got: Got = Rc::default();
        let list = Rc::clone(&got);
        let script = well(move |spoke: Spoke, task: WorkId| {
            let list = Rc::clone(&list);
            async move {
                // The request fits one message; with all that a record or a prompt says of it, it does not.
                let text = "x".repeat(bus::limits::MAX_PAYLOAD - 160);
                for functionality in ["mail.newest", "drive.read"] {
                    let result = spoke.ask(&task, functionality, json!({"text": text})).await;
                    list.borrow_mut().push(result);
                }
                // The control: the same flow, recorded.
                let result = spoke.ask(&task, "mail.newest", json!({"text": "x"})).await;
                list.borrow_mut().push(result);
                "done".to_owned()
            }
        });
        let plot = Plot::new(vec![delegate("mail")], script).answering(|_| Some(Choice::Once));
        let mut town = Town::found(plot).await;
        town.ann.ask("go").await;
        let got = got.borrow();
        assert!(got[0].as_ref().unwrap_err().detail.contains("could not be recorded"), "{:?}", got[0]);
        assert!(got[1].as_ref().unwrap_err().detail.contains("could not be"), "{:?}", got[1]);
        assert_eq!(got[2], Ok(json!({"text": "mail says x"})));
        assert!(!town.apps_started().iter().any(|app| app == "drive"));
    });
}

#[test]
fn malformed_messages_are_dropped_and_the_hub_goes_on() {
    run(async {
        let script = well(|spoke: Spoke, _| async move {
            for (service, op) in
                [(Service::Isc, Op::REQUEST), (Service::Result, Op::DONE), (Service::Memory, Op::RECALL)]
            {
                let subject = spoke.out(service, op).to_string();
                for garbage in [&b""[..], b"\xff\xff\xff", b"{\"task\":"] {
                    spoke.bus.nats().publish(subject.clone(), garbage.to_vec().into()).await.unwrap();
                }
            }
            let newer = {
                let mut headers = async_nats::HeaderMap::new();
                headers.insert(bus::envelope::VERSION, "9");
                headers
            };
            let subject = spoke.out(Service::Isc, Op::REQUEST).to_string();
            spoke.bus.nats().publish_with_headers(subject, newer, vec![0x80].into()).await.unwrap();
            "done".to_owned()
        });
        let mut town = Town::found(Plot::new(vec![delegate("mail")], script)).await;
        assert_eq!(town.ann.ask("go").await.outcome, Ending::Answered);
        town.dropped(Request::KIND).await;
        town.dropped("is newer than").await;
        assert_eq!(town.ann.ask("again").await.outcome, Ending::Answered);
        drop(town.broker.bus(&Role::Tap).await);
    });
}
