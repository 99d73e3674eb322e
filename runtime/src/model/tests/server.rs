//! The server over HTTP, as an OpenAI client meets it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::data;
use crate::model::{Fault, FaultKind, Model, ModelConfig, serve};

async fn start(key: Option<&str>, delay: Duration) -> Model {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let key = key.map(str::to_owned);
    serve(ModelConfig { listen, scripts: data().join("scripts"), delay, key, faults: Vec::new() })
        .await
        .unwrap()
}

fn client() -> Client {
    // A second call finds the provider installed, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().unwrap()
}

fn asking(query: &str) -> Value {
    json!({ "model": "any", "messages": [{ "role": "user", "content": query }] })
}

async fn post(model: &Model, body: &Value) -> reqwest::Response {
    client().post(format!("{}/chat/completions", model.base_url())).json(body).send().await.unwrap()
}

#[tokio::test]
async fn an_answer_says_which_model_it_is_from_and_what_it_cost() {
    let model = start(None, Duration::ZERO).await;
    let answer: Value = post(&model, &asking("Hello")).await.json().await.unwrap();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], "scripted-1");
    assert!(answer["system_fingerprint"].as_str().unwrap().starts_with("scripted-model"));
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert!(answer["choices"][0]["message"]["content"].as_str().unwrap().contains("scripted"));
    assert!(answer["usage"]["total_tokens"].as_u64().unwrap() > 0);
    let models: Value =
        client().get(format!("{}/models", model.base_url())).send().await.unwrap().json().await.unwrap();
    assert_eq!(models["data"][0]["id"], "scripted-1");
    model.stop().await;
}

fn events(stream: &str) -> Vec<Value> {
    let lines = stream.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    lines.filter(|line| *line != "[DONE]").map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_stream_holds_the_same_words_in_pieces() {
    let model = start(None, Duration::ZERO).await;
    let mut body = asking("Hello");
    let whole: Value = post(&model, &body).await.json().await.unwrap();
    body["stream"] = json!(true);
    body["stream_options"] = json!({ "include_usage": true });
    let text = post(&model, &body).await.text().await.unwrap();
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    let events = events(&text);
    let pieces: Vec<&str> =
        events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    assert!(3 < pieces.len());
    assert_eq!(pieces.concat(), whole["choices"][0]["message"]["content"].as_str().unwrap());
    assert_eq!(events.last().unwrap()["usage"], whole["usage"]);
}

#[tokio::test]
async fn several_tools_are_called_at_once_in_a_body_and_in_a_stream() {
    let model = start(None, Duration::ZERO).await;
    let tool = |app: &str| json!({ "type": "function", "function": { "name": format!("{app}__estimate_fare"), "parameters": {} } });
    let mut body = asking("Use both metro_hail and quick_ride for the fares from 'A' to 'B'.");
    body["tools"] = json!([tool("metro_hail"), tool("quick_ride")]);
    let whole: Value = post(&model, &body).await.json().await.unwrap();
    let calls = whole["choices"][0]["message"]["tool_calls"].as_array().unwrap().clone();
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(calls.len(), 2);
    assert_ne!(calls[0]["id"], calls[1]["id"]);
    let arguments: Value = serde_json::from_str(calls[1]["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({ "start_point": "A", "end_point": "B" }));
    body["stream"] = json!(true);
    let events = events(&post(&model, &body).await.text().await.unwrap());
    let streamed: Vec<&Value> = events
        .iter()
        .map(|event| &event["choices"][0]["delta"]["tool_calls"][0])
        .filter(|call| !call.is_null())
        .collect();
    assert_eq!(streamed.iter().map(|call| call["index"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(streamed[1]["function"]["name"], "quick_ride__estimate_fare");
}

#[tokio::test]
async fn without_the_key_there_is_no_answer() {
    let model = start(Some("sesame"), Duration::ZERO).await;
    assert_eq!(post(&model, &asking("Hello")).await.status(), StatusCode::UNAUTHORIZED);
    let url = format!("{}/chat/completions", model.base_url());
    let wrong = client().post(&url).bearer_auth("sesame2").json(&asking("Hello")).send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    let right = client().post(&url).bearer_auth("sesame").json(&asking("Hello")).send().await.unwrap();
    assert_eq!(right.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_delay_is_kept_and_does_not_hold_up_others() {
    let delay = Duration::from_millis(500);
    let model = start(None, delay).await;
    let begun = Instant::now();
    let hello = asking("Hello");
    futures_util::future::join_all((0..10).map(|_| post(&model, &hello))).await;
    let took = begun.elapsed();
    // One after the other, ten would take five seconds; far less, however busy the machine.
    assert!(delay <= took && took < 7 * delay, "{took:?}");
}

#[tokio::test]
async fn faults_come_as_often_as_asked_for_and_then_no_more() {
    let model = start(None, Duration::ZERO).await;
    let faults = format!("http://{}/faults", model.addr());
    let busy = Fault { kind: FaultKind::Busy, times: 2, on: None, retry_after_s: 1 };
    assert!(client().post(&faults).json(&busy).send().await.unwrap().status().is_success());
    for _ in 0..2 {
        let response = post(&model, &asking("Hello")).await;
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()["retry-after"], "1");
    }
    assert_eq!(post(&model, &asking("Hello")).await.status(), StatusCode::OK);

    let wrong_kind = json!({ "kind": "error", "on": "planner" });
    client().post(&faults).json(&wrong_kind).send().await.unwrap();
    assert_eq!(post(&model, &asking("Hello")).await.status(), StatusCode::OK);

    client().post(&faults).json(&json!({ "kind": "not_json" })).send().await.unwrap();
    assert!(post(&model, &asking("Hello")).await.json::<Value>().await.is_err());

    client().post(&faults).json(&json!({ "kind": "cut" })).send().await.unwrap();
    let mut body = asking("Hello");
    body["stream"] = json!(true);
    assert!(post(&model, &body).await.text().await.is_err());

    client().post(&faults).json(&json!({ "kind": "hang" })).send().await.unwrap();
    let hung = tokio::time::timeout(Duration::from_millis(300), post(&model, &asking("Hello"))).await;
    assert!(hung.is_err());
}

#[tokio::test]
async fn requests_are_counted_by_kind_and_the_last_ones_kept() {
    let model = start(None, Duration::ZERO).await;
    let mut planning = asking("Hello");
    planning["response_format"] = json!({ "type": "json_schema", "json_schema": { "name": "secgpt_plan" } });
    post(&model, &planning).await;
    post(&model, &asking("Hello")).await;
    let get = async |path: &str| -> Value {
        client().get(format!("http://{}{path}", model.addr())).send().await.unwrap().json().await.unwrap()
    };
    let stats = get("/stats").await;
    assert_eq!(stats["calls"], json!({ "plain": 1, "planner": 1 }));
    assert_eq!(get("/requests?kind=planner").await[0]["request"], planning);
    client().post(format!("http://{}/stats/reset", model.addr())).send().await.unwrap();
    assert_eq!(get("/stats").await["total"], 0);
}

#[tokio::test]
async fn a_request_that_is_none_gets_an_error_of_the_protocol() {
    let model = start(None, Duration::ZERO).await;
    let answer = post(&model, &json!({ "messages": "none" })).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["error"]["type"], "invalid_request");
}
