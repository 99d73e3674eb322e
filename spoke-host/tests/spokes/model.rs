//! Work in which a model takes part.

use std::sync::atomic::Ordering;

use bus::message::chat::{ChatError, ChatReply, NamedSchema, ToolCall, Turn, Usage};
use bus::message::profile::Kind;
use bus::message::task::{FailureCode, Work};
use serde_json::{Value, json};

use crate::hub::{Heard, Hub, Settings, profile};

fn says(text: &str) -> Vec<ChatReply> {
    turn(text, Vec::new())
}

fn calls(tool: &str, arguments: &str) -> Vec<ChatReply> {
    turn("", vec![ToolCall { id: "c1".into(), name: tool.into(), arguments: arguments.into() }])
}

fn turn(text: &str, calls: Vec<ToolCall>) -> Vec<ChatReply> {
    vec![ChatReply::Done { text: text.into(), calls, usage: Usage::default(), model: "test".into() }]
}

fn last_tool(turns: &[Turn]) -> Value {
    match turns.last() {
        Some(Turn::Tool { text, .. }) => serde_json::from_str(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn delegate(request: &str, rounds: u32) -> Work {
    let system = "You are an app's model.\n\nWhat the app says about itself:\n".to_owned();
    Work::Delegate { request: request.into(), system, history: Vec::new(), rounds }
}

#[tokio::test]
async fn a_prompt_app_answers_a_call_by_its_own_model() {
    let model = |_, request: &bus::message::chat::ChatRequest| match request.turns.as_slice() {
        [Turn::System { text }, Turn::User { text: user }]
            if text.contains("symptoms") && user == "I am tired" =>
        {
            says("Rest.")
        }
        other => panic!("{other:?}"),
    };
    let mut hub = Hub::with(Settings { model, ..Settings::default() }).await;
    let (spoke, _) = hub.spawn_catalogued("symptom_solver").await;
    let result = hub.call(&spoke, "diagnose", json!({"text": "I am tired"})).await.unwrap();
    assert_eq!(result, json!({"text": "Rest."}));
    assert_eq!(hub.model_calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_delegate_uses_its_own_tool_and_answers() {
    let model = |number, request: &bus::message::chat::ChatRequest| match number {
        0 => {
            let names: Vec<&str> = request.tools.iter().map(|tool| tool.name.as_str()).collect();
            assert_eq!(names, ["metro_hail__estimate_fare", "request_app"]);
            calls("metro_hail__estimate_fare", r#"{"start_point": "Main Street", "end_point": "Elm Avenue"}"#)
        }
        _ => says(&format!("It costs {}.", last_tool(&request.turns)["fare"])),
    };
    let mut hub = Hub::with(Settings { model, ..Settings::default() }).await;
    let (spoke, _) = hub.spawn_catalogued("metro_hail").await;
    let id = hub.give(&spoke, crate::hub::PATIENCE, delegate("What does it cost?", 8)).await;
    let done = hub.done(&id).await;
    assert_eq!((done.result.unwrap(), done.model_calls), (json!("It costs 51.8."), 2));
}

#[tokio::test]
async fn a_delegate_may_mend_a_call_that_was_wrong() {
    let model = |number, request: &bus::message::chat::ChatRequest| match number {
        0 => calls("quick_ride__estimate_fare", "{}"),
        1 => {
            assert_eq!(last_tool(&request.turns)["error"], "unknown");
            calls("metro_hail__estimate_fare", "not json")
        }
        2 => {
            assert_eq!(last_tool(&request.turns)["error"], "arguments");
            calls("metro_hail__estimate_fare", r#"{"start_point": 1}"#)
        }
        _ => {
            assert_eq!(last_tool(&request.turns)["error"], "arguments");
            says("I give up.")
        }
    };
    let mut hub = Hub::with(Settings { model, ..Settings::default() }).await;
    let (spoke, _) = hub.spawn_catalogued("metro_hail").await;
    assert_eq!(hub.work(&spoke, delegate("?", 8)).await.unwrap(), json!("I give up."));
}

#[tokio::test]
async fn a_request_to_another_app_goes_to_the_hub_and_a_refusal_reaches_the_model() {
    let model = |number, request: &bus::message::chat::ChatRequest| match number {
        0 => calls(
            "request_app",
            r#"{"app": "drive", "functionality": "read", "arguments": {"name": "x"}, "why": "curious"}"#,
        ),
        _ => {
            let told = last_tool(&request.turns);
            assert_eq!(told, json!({"error": "refused", "detail": "the user said no"}));
            says("Without it.")
        }
    };
    let mut hub = Hub::with(Settings { model, ..Settings::default() }).await;
    let (spoke, _) = hub.spawn(profile("curious", Kind::Prompt, &[]), String::new()).await;
    assert_eq!(hub.work(&spoke, delegate("?", 8)).await.unwrap(), json!("Without it."));
    let request = hub.hear("isc", |heard| match heard {
        Heard::Isc(from, request) if *from == spoke => Some(request.clone()),
        _ => None,
    });
    let request = request.await;
    assert_eq!((request.functionality.as_str(), request.why.as_str()), ("drive.read", "curious"));
    assert_eq!(request.args, json!({"name": "x"}));
}

#[tokio::test]
async fn requests_to_other_apps_are_counted() {
    let model = |_, _: &bus::message::chat::ChatRequest| {
        calls("request_app", r#"{"app": "drive", "functionality": "read", "arguments": {}}"#)
    };
    let mut hub = Hub::with(Settings { model, ..Settings::default() }).await;
    let (spoke, _) = hub.spawn(profile("insistent", Kind::Prompt, &[]), String::new()).await;
    assert_eq!(hub.work(&spoke, delegate("?", 8)).await.unwrap_err().code, FailureCode::Budget);
    assert_eq!(hub.left_over(|heard| matches!(heard, Heard::Isc(..))), 3);
}

#[tokio::test]
async fn a_model_that_never_stops_calling_tools_is_stopped() {
    let model = |_, _: &bus::message::chat::ChatRequest| calls("nothing", "{}");
    let mut hub = Hub::with(Settings { model, ..Settings::default() }).await;
    let (spoke, _) = hub.spawn(profile("looping", Kind::Prompt, &[]), String::new()).await;
    let id = hub.give(&spoke, crate::hub::PATIENCE, delegate("?", 100)).await;
    let done = hub.done(&id).await;
    let failure = done.result.unwrap_err();
    assert_eq!((failure.code, done.model_calls), (FailureCode::Budget, 8));
    assert!(failure.detail.contains("after 8 turns"), "{failure:?}");
}

#[tokio::test]
async fn a_budget_that_is_used_up_ends_the_task_as_such() {
    let model = |_, _: &bus::message::chat::ChatRequest| {
        vec![ChatReply::Failed { code: ChatError::Budget, detail: "8 calls are used up".into() }]
    };
    let mut hub = Hub::with(Settings { model, ..Settings::default() }).await;
    let (spoke, _) = hub.spawn_empty().await;
    let turns = vec![Turn::User { text: "hello".into() }];
    let work = Work::Converse { turns, schema: None, stream: false };
    assert_eq!(hub.work(&spoke, work).await.unwrap_err().code, FailureCode::Budget);
}

#[tokio::test]
async fn an_answer_is_streamed_as_it_is_written() {
    let model = |_, request: &bus::message::chat::ChatRequest| {
        assert!(request.stream);
        let mut replies: Vec<ChatReply> =
            ["Hel", "lo"].iter().map(|text| ChatReply::Token { text: (*text).into() }).collect();
        replies.extend(says("Hello"));
        replies
    };
    let mut hub = Hub::with(Settings { model, ..Settings::default() }).await;
    let (spoke, _) = hub.spawn_empty().await;
    let turns = vec![Turn::User { text: "hello".into() }];
    let work = Work::Converse { turns, schema: None, stream: true };
    assert_eq!(hub.work(&spoke, work).await.unwrap(), json!("Hello"));
    let mut text = String::new();
    for _ in 0..2 {
        let piece = hub.hear("token", |heard| match heard {
            Heard::Token(token) => Some(token.text.clone()),
            _ => None,
        });
        text.push_str(&piece.await);
    }
    assert_eq!(text, "Hello");
}

#[tokio::test]
async fn an_answer_of_another_form_is_asked_for_once_more() {
    let model = |number, request: &bus::message::chat::ChatRequest| {
        assert_eq!(request.schema.as_ref().unwrap().name, "secgpt_derive");
        match number {
            0 => says("the value is 7"),
            _ => {
                assert_eq!(request.turns.len(), 3);
                says(r#"{"value": 7}"#)
            }
        }
    };
    let mut hub = Hub::with(Settings { model, ..Settings::default() }).await;
    let (spoke, _) = hub.spawn_empty().await;
    let schema =
        json!({"type": "object", "properties": {"value": {"type": "integer"}}, "required": ["value"]});
    let schema = Some(NamedSchema { name: "secgpt_derive".into(), schema });
    let work =
        |schema| Work::Converse { turns: vec![Turn::User { text: "?".into() }], schema, stream: false };
    assert_eq!(hub.work(&spoke, work(schema)).await.unwrap(), json!({"value": 7}));
}

#[tokio::test]
async fn without_a_gateway_the_failure_says_so() {
    let mut hub = Hub::with(Settings { model: |_, _| panic!("not asked"), ..Settings::default() }).await;
    // A request of the hub's own would find the gateway; this spoke's service is taken away.
    hub.silence_model().await;
    let (spoke, _) = hub.spawn_empty().await;
    let turns = vec![Turn::User { text: "hello".into() }];
    let failure = hub.work(&spoke, Work::Converse { turns, schema: None, stream: false }).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::Model);
    assert!(failure.detail.contains("llm-gateway"), "{failure:?}");
}
