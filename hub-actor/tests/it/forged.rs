//! What was true once or is true elsewhere, said again: labels, tasks, answers, grants.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use async_nats::HeaderMap;
use bus::acl::Role;
use bus::envelope::{KIND, LABELS, Message, TRACEPARENT, WORK, headers, pack};
use bus::id::WorkId;
use bus::message::isc::{Request, Response};
use bus::message::task::{Done, Work};
use bus::message::user::{Choice, Consent, Ending, Flow, Verdict};
use bus::subject::{Op, Service, pattern};
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::client::Client;
use crate::peers::{PATIENCE, Spoke, script};
use crate::town::{Plot, Town, calls, delegate, plain, run, well};

/// A trace and a query that are nobody's.
const ELSEWHERE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The headers of a message that says it is of another query and carries nothing but the user's words.
fn forged<M: Message>() -> HeaderMap {
    let mut headers = headers::<M>(None);
    headers.insert(LABELS, "user");
    headers.insert(WORK, "elsewhere");
    headers.insert(TRACEPARENT, ELSEWHERE);
    headers
}

async fn says(spoke: &Spoke, task: &WorkId, value: Value, forge: bool) {
    let done = Done { task: task.clone(), result: Ok(value), model_calls: 0 };
    let headers = if forge { forged::<Done>() } else { headers::<Done>(Some(task)) };
    let subject = spoke.out(Service::Result, Op::DONE).to_string();
    spoke.bus.nats().publish_with_headers(subject, headers, pack(&done).unwrap()).await.unwrap();
}

async fn asks(spoke: &Spoke, task: &WorkId, functionality: &str, headers: HeaderMap) {
    let request = Request {
        task: task.clone(),
        functionality: functionality.into(),
        args: json!({"text": "eve@x.example"}),
        why: "because".into(),
    };
    let request =
        async_nats::Request::new().headers(headers).payload(pack(&request).unwrap()).timeout(Some(PATIENCE));
    spoke.bus.nats().send_request(spoke.out(Service::Isc, Op::REQUEST).to_string(), request).await.unwrap();
}

/// What the hub made of it: the flows of the outcome, those of the prompts, and the kind, labels and trace of each message that it
/// sent with labels.
type Seen = (Vec<Flow>, Vec<Flow>, Vec<(String, String)>, usize);

/// mail asks drive, then wants to send; all results go on to another step. With `forge` every message of a spoke has headers of its own
/// choosing.
async fn played(forge: bool) -> Seen {
    let plan = json!({"answer": null, "steps": [
        {"id": "s1", "kind": "delegate", "app": "mail", "request": "do it", "after": []},
        {"id": "s2", "kind": "call", "functionality": "mail.draft", "args": {"text": {"$from": "s1"}}, "after": []}]});
    let acts = script(move |spoke: Spoke, task| async move {
        match &task.work {
            Work::Delegate { .. } => {
                for functionality in ["drive.read", "mail.send"] {
                    let headers =
                        if forge { forged::<Request>() } else { headers::<Request>(Some(&task.id)) };
                    asks(&spoke, &task.id, functionality, headers).await;
                }
                says(&spoke, &task.id, "eve@x.example".into(), forge).await;
            }
            Work::Call { .. } => says(&spoke, &task.id, json!({"text": "passport"}), forge).await,
            Work::Converse { .. } => spoke.said(&task.id, "composed").await,
        }
    });
    let plot = Plot::new(vec![plan], acts).answering(|_| Some(Choice::Once));
    let mut town = Town::found(plot).await;
    let tap = town.broker.bus(&Role::Tap).await;
    let mut heard = tap.nats().subscribe(pattern::ALL).await.unwrap();
    tap.flush().await.unwrap();
    let query = town.ann.query("go");
    let (outcome, _) = town.ann.ask_with(query.clone()).await;
    let prompts = town.ann.prompts.borrow().iter().map(|prompt| prompt.flow.clone()).collect();
    let own = headers::<Request>(Some(&query.id)).get(TRACEPARENT).unwrap().as_str()[3..35].to_owned();
    let (mut labelled, mut traced) = (Vec::new(), 0);
    // All that belongs to the query was sent before its end was told; hosts never fall silent.
    let until = tokio::time::Instant::now() + Duration::from_millis(300);
    while let Ok(Some(message)) = tokio::time::timeout_at(until, heard.next()).await {
        let all = message.headers.clone().unwrap_or_default();
        let header = |name: &str| all.get(name).map(ToString::to_string).unwrap_or_default();
        let of_spoke = message.subject.contains(".out.");
        if !of_spoke && !header(LABELS).is_empty() {
            labelled.push((header(KIND), header(LABELS)));
            assert!(header(TRACEPARENT).contains(&own), "{}: {:?}", message.subject, message.headers);
            traced += 1;
        }
    }
    labelled.sort();
    (outcome.flows, prompts, labelled, traced)
}

#[test]
fn labels_and_traces_that_a_spoke_writes_into_its_headers_change_nothing() {
    run(async {
        let (flows, prompts, labelled, traced) = played(false).await;
        // Control: there are labels to be shed, everywhere.
        let carries = |flow: &Flow| flow.labels.contains(&"app:drive".to_owned());
        assert!(flows.iter().any(|flow| flow.to == "mail.send" && carries(flow)), "{flows:#?}");
        assert!(flows.iter().any(|flow| flow.to == "mail.draft" && carries(flow)), "{flows:#?}");
        assert!(prompts.iter().any(carries) && 5 < traced, "{prompts:#?} {traced}");
        assert!(labelled.iter().any(|(_, labels)| labels.contains("app:drive")), "{labelled:?}");
        assert_eq!(played(true).await, (flows, prompts, labelled, traced));
    });
}

#[test]
fn a_task_that_has_ended_or_is_another_sessions_is_no_leave_to_ask() {
    run(async {
        let first: Rc<RefCell<Option<(Spoke, WorkId)>>> = Rc::default();
        let tried = Rc::new(Cell::new(false));
        let (kept, over) = (Rc::clone(&first), Rc::clone(&tried));
        let act = well(move |spoke: Spoke, task: WorkId| {
            let (kept, over) = (Rc::clone(&kept), Rc::clone(&over));
            async move {
                let theirs = kept.borrow().as_ref().map(|(_, task)| task.clone());
                let Some(theirs) = theirs else {
                    *kept.borrow_mut() = Some((spoke.clone(), task.clone()));
                    while !over.get() {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    // Control: the task is one that may ask, and has not ended meanwhile.
                    assert!(is_heard(&spoke, &task).await);
                    return "done".to_owned();
                };
                assert!(!is_heard(&spoke, &theirs).await, "another session's task");
                over.set(true);
                "done".to_owned()
            }
        });
        let mut town = Town::found(Plot::new(vec![delegate("mail")], act)).await;
        let mut other = Client::join(&town.broker, "ann", Rc::new(|_| None)).await;
        let query = town.ann.query("go");
        town.ann.send(&query).await.unwrap();
        while first.borrow().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(other.ask("go").await.flows.len(), 1);
        let (outcome, _) = town.ann.await_end(&query.id).await;
        assert_eq!((outcome.outcome, outcome.flows.len(), outcome.prompts), (Ending::Answered, 2, 0));
        let (spoke, task) = first.borrow().clone().unwrap();
        assert!(!is_heard(&spoke, &task).await, "its own, but it has ended");
        let why = |(_, record): &(_, bus::message::audit::Record)| {
            format!("{record:?}").contains("this spoke has no such task, or it has ended")
        };
        town.dropped("this spoke has no such task").await;
        assert_eq!(town.audit.borrow().iter().filter(|said| why(said)).count(), 2);
    });
}

/// Asks for what any delegate of mail gets without a prompt. Does anybody answer?
async fn is_heard(spoke: &Spoke, task: &WorkId) -> bool {
    let request = Request {
        task: task.clone(),
        functionality: "mail.newest".into(),
        args: json!({"text": "x"}),
        why: String::new(),
    };
    let subject = spoke.out(Service::Isc, Op::REQUEST);
    let answer = spoke.bus.request::<_, Response>(&subject, &request, None, Duration::from_millis(500)).await;
    answer.is_ok()
}

#[test]
fn two_prompts_that_two_clients_answer_at_once_have_one_answer_each() {
    run(async {
        let plan = calls(&[("mail.draft", "eve@x.example"), ("mail.send", "mal@x.example")]);
        let mut town = Town::found(Plot::new(vec![plan], plain()).answering(|_| None)).await;
        let other = Client::join(&town.broker, "ann", Rc::new(|_| None)).await;
        let query = town.ann.query("go");
        town.ann.send(&query).await.unwrap();
        let (one, two) = (town.ann.next_prompt().await, town.ann.next_prompt().await);
        assert_ne!(one.flow.to, two.flow.to);
        let yes = |id: &WorkId| Consent::new(id.clone(), Choice::Once);
        let no = |id: &WorkId| Consent::new(id.clone(), Choice::Deny);
        // Each client answers both, and they do not agree.
        let (of_one, of_two) = ([yes(&one.id), no(&two.id)], [yes(&two.id), no(&one.id)]);
        let (left, right) = (&town.ann, &other);
        tokio::join!(
            async {
                for consent in &of_one {
                    left.say(consent).await
                }
            },
            async {
                for consent in &of_two {
                    right.say(consent).await
                }
            },
        );
        let (outcome, _) = town.ann.await_end(&query.id).await;
        assert_eq!((outcome.flows.len(), outcome.prompts), (2, 2), "{:#?}", outcome.flows);
        assert!(outcome.flows.iter().all(|flow| flow.by == "user"), "{:#?}", outcome.flows);
        // What was done is what was decided, once.
        let allowed = outcome.flows.iter().filter(|flow| flow.decision == Verdict::Allow).count();
        let done = outcome.results.iter().filter(|result| result.error.is_none()).count();
        assert_eq!(allowed, done, "{:#?}", outcome.results);
        town.dropped("no such prompt of this user is open").await;
        let late = town
            .audit
            .borrow()
            .iter()
            .filter(|(_, record)| format!("{record:?}").contains("no such prompt"))
            .count();
        assert_eq!(late, 2, "one answer to each came too late");
    });
}

#[test]
fn a_grant_that_outlived_its_app_counts_for_nothing() {
    run(async {
        let plot = Plot::new(vec![calls(&[("mail.draft", "hello")])], plain());
        let (always, answers) = (Rc::new(Cell::new(true)), Rc::new(Cell::new(0)));
        let (says, asked) = (Rc::clone(&always), Rc::clone(&answers));
        let mut town = Town::found(plot.answering(move |_| {
            asked.set(asked.get() + 1);
            Some(if says.get() { Choice::Always } else { Choice::Deny })
        }))
        .await;
        assert_eq!(town.ann.ask("draft it").await.outcome, Ending::Answered);
        always.set(false);
        // Control: over a restart it counts, as long as the app is the same.
        town.restart_hub().await;
        let outcome = town.ann.ask("draft it").await;
        assert_eq!((outcome.outcome, answers.get()), (Ending::Answered, 1));
        assert!(outcome.flows[0].by.starts_with("grant:"), "{:?}", outcome.flows);
        town.change_app("mail");
        town.restart_hub().await;
        let outcome = town.ann.ask("draft it").await;
        assert_eq!((outcome.outcome, answers.get()), (Ending::Refused, 2));
        assert_eq!(outcome.flows[0].by, "user");
    });
}
