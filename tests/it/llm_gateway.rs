//! The llm-gateway on a real broker, with a model server that has all the faults of real ones.
//! Carries: I-15, I-16.

use std::time::{Duration, Instant};

use bus::acl::Role;
use bus::client::Bus;
use bus::id::{AppId, SpokeAddr, SpokeId, WorkId};
use bus::launch::LlmConfig;
use bus::message::chat::{
    Budget, BudgetSet, ChatError, ChatReply, ChatRequest, EmbedReply, EmbedRequest, NamedSchema, Tool, Turn,
    Usage,
};
use bus::secret::Secret;
use bus::subject::{Op, Service, Subject};
use serde_json::json;
use system_tests::core_process::Core;
use system_tests::model_server::{Answer, ModelServer, delta, finish};
use system_tests::nats::Nats;
use system_tests::program::eventually;

const KEY: &str = "planted-model-key";

/// How long the gateway of these tests has for a call.
const TIMEOUT: Duration = Duration::from_secs(4);

struct Stage {
    nats: Nats,
    model: ModelServer,
    gateway: Core,
    hub: Bus,
}

impl Stage {
    async fn set() -> Self {
        let (nats, model) = (Nats::start(), ModelServer::start().await);
        let gateway =
            Core::try_start(&nats, "llm-gateway", &Role::LlmGateway, config(&model.base_url), "debug")
                .unwrap();
        let hub = nats.bus(&Role::Hub).await;
        Self { nats, model, gateway, hub }
    }

    async fn ask_as_hub(&self, request: &ChatRequest) -> (Vec<String>, ChatReply) {
        ask(&self.hub, &Subject::HubOut { service: Service::Llm, op: Op::CHAT }, request).await
    }

    async fn budget(&self, spoke: &SpokeAddr, calls: u32, tokens: u64, model: Option<&str>) {
        let budget = Budget {
            spoke: spoke.clone(),
            task: task(),
            calls,
            tokens,
            model: model.map(str::to_owned),
            lifetime_ms: 60_000,
        };
        let subject = Subject::HubOut { service: Service::Llm, op: Op::BUDGET };
        let _: BudgetSet = self.hub.request(&subject, &budget, None, TIMEOUT).await.unwrap();
    }
}

fn config(base_url: &str) -> LlmConfig {
    LlmConfig {
        base_url: base_url.into(),
        model: "m-usual".into(),
        api_key: Some(Secret::new(KEY.into())),
        embeddings_model: Some("e1".into()),
        timeout_ms: TIMEOUT.as_millis().try_into().unwrap(),
    }
}

fn spoke(id: &str) -> SpokeAddr {
    SpokeAddr { app: AppId::parse("mail").unwrap(), id: SpokeId::parse(id).unwrap() }
}

fn task() -> WorkId {
    WorkId::parse("t1").unwrap()
}

fn request(text: &str) -> ChatRequest {
    ChatRequest {
        task: task(),
        turns: vec![Turn::User { text: text.into() }],
        tools: vec![],
        schema: None,
        stream: false,
    }
}

fn streamed(text: &str) -> ChatRequest {
    ChatRequest { stream: true, ..request(text) }
}

/// The words that came, and the last message.
async fn ask(bus: &Bus, subject: &Subject, request: &ChatRequest) -> (Vec<String>, ChatReply) {
    let mut answers = bus.request_many(subject, request, None).await.unwrap();
    let mut words = Vec::new();
    loop {
        match answers.next::<ChatReply>(TIMEOUT * 3).await.unwrap() {
            ChatReply::Token { text } => words.push(text),
            last => return (words, last),
        }
    }
}

async fn ask_as(bus: &Bus, spoke: &SpokeAddr, request: &ChatRequest) -> ChatReply {
    let subject = Subject::SpokeOut { spoke: spoke.clone(), service: Service::Llm, op: Op::CHAT };
    ask(bus, &subject, request).await.1
}

#[track_caller]
fn failed(reply: ChatReply, expected: ChatError) -> String {
    match reply {
        ChatReply::Failed { code, detail } if code == expected => detail,
        other => panic!("{expected:?} was expected, not {other:?}"),
    }
}

#[track_caller]
fn words(reply: ChatReply) -> String {
    match reply {
        ChatReply::Done { text, .. } => text,
        other => panic!("an answer was expected, not {other:?}"),
    }
}

#[tokio::test]
async fn the_hub_is_answered_whole_or_in_words() {
    let stage = Stage::set().await;
    stage.model.tell([Answer::Words("to be or not".into()), Answer::Words("to be or not".into())]);
    let (tokens, whole) = stage.ask_as_hub(&request("what?")).await;
    assert!(tokens.is_empty(), "words came although none were asked for: {tokens:?}");
    let usage = Usage { prompt: 5, completion: 6 };
    let expected =
        ChatReply::Done { text: "to be or not".into(), calls: vec![], usage, model: "m-told".into() };
    assert_eq!(whole, expected);
    let (tokens, whole) = stage.ask_as_hub(&streamed("what?")).await;
    assert_eq!(tokens, ["to ", "be ", "or ", "not"]);
    assert_eq!(whole, expected);
    let seen = stage.model.seen();
    assert_eq!(seen[0].path, "/v1/chat/completions");
    assert_eq!(seen[0].headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(seen[0].body["model"], "m-usual");
    assert_eq!(seen[1].body["stream_options"]["include_usage"], true);
}

#[tokio::test]
async fn parallel_tool_calls_arrive_whole_from_a_stream() {
    let stage = Stage::set().await;
    let call = |index: u32, id: &str, name: &str, arguments: &str| {
        delta(&json!({"tool_calls": [{"index": index, "id": id, "type": "function",
            "function": {"name": name, "arguments": arguments}}]}))
    };
    let more = |index: u32, arguments: &str| {
        delta(&json!({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}))
    };
    stage.model.tell([Answer::Stream(vec![
        call(0, "a", "mail__newest", ""),
        more(0, "{\"n\":"),
        call(1, "b", "drive__list", "{}"),
        more(0, "2}"),
        finish("tool_calls"),
    ])]);
    let mut asked = streamed("both");
    asked.tools = vec![Tool { name: "mail__newest".into(), description: "d".into(), parameters: json!({}) }];
    asked.schema = Some(NamedSchema { name: "secgpt_plan".into(), schema: json!({"type": "object"}) });
    let (_, ChatReply::Done { calls, .. }) = stage.ask_as_hub(&asked).await else { panic!("no answer") };
    let calls: Vec<_> =
        calls.iter().map(|c| (c.id.as_str(), c.name.as_str(), c.arguments.as_str())).collect();
    assert_eq!(calls, [("a", "mail__newest", "{\"n\":2}"), ("b", "drive__list", "{}")]);
    let body = &stage.model.seen()[0].body;
    assert_eq!(body["response_format"]["json_schema"]["name"], "secgpt_plan");
    assert_eq!(body["tools"][0]["function"]["name"], "mail__newest");
}

#[tokio::test]
async fn a_spoke_spends_what_the_hub_announced_and_no_more() {
    let stage = Stage::set().await;
    let (a, b) = (spoke("a1"), spoke("b1"));
    let (bus_a, bus_b) =
        (stage.nats.bus(&Role::Spoke(a.clone())).await, stage.nats.bus(&Role::Spoke(b.clone())).await);
    let detail = failed(ask_as(&bus_a, &a, &request("hi")).await, ChatError::Budget);
    assert!(detail.contains("no model budget"), "{detail}");
    stage.budget(&a, 2, 1000, Some("m-of-the-app")).await;
    assert_eq!(words(ask_as(&bus_a, &a, &request("hi")).await), "hello");
    assert_eq!(stage.model.seen().last().unwrap().body["model"], "m-of-the-app");
    // What was announced for one spoke is not another's, even for the same task.
    failed(ask_as(&bus_b, &b, &request("hi")).await, ChatError::Budget);
    assert_eq!(words(ask_as(&bus_a, &a, &request("hi")).await), "hello");
    let detail = failed(ask_as(&bus_a, &a, &request("hi")).await, ChatError::Budget);
    assert!(detail.contains("all 2 model calls"), "{detail}");
    // Tokens: each answer costs 11 by the server's word.
    stage.budget(&b, 9, 12, None).await;
    assert_eq!(words(ask_as(&bus_b, &b, &request("hi")).await), "hello");
    assert_eq!(words(ask_as(&bus_b, &b, &request("hi")).await), "hello");
    let detail = failed(ask_as(&bus_b, &b, &request("hi")).await, ChatError::Budget);
    assert!(detail.contains("12 model tokens"), "{detail}");
}

#[tokio::test]
async fn a_limited_rate_is_waited_out_for_as_long_as_the_server_wishes() {
    let stage = Stage::set().await;
    let busy = Answer::Status(
        429,
        vec![("retry-after", "1".into())],
        json!({"error": {"message": "slow down"}}).to_string(),
    );
    stage.model.tell([busy.clone(), Answer::Words("now".into())]);
    assert_eq!(words(stage.ask_as_hub(&request("hi")).await.1), "now");
    let seen = stage.model.seen();
    let waited = seen[1].at - seen[0].at;
    assert!(Duration::from_millis(950) < waited && waited < Duration::from_secs(3), "{waited:?}");
    // A wish beyond the deadline is not waited for.
    stage.model.tell([Answer::Status(429, vec![("retry-after", "60".into())], "later".into())]);
    let began = Instant::now();
    let detail = failed(stage.ask_as_hub(&request("hi")).await.1, ChatError::Busy);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(detail.contains("limits the rate (status 429 after one attempt): later"), "{detail}");
}

#[tokio::test]
async fn a_server_that_fails_once_is_asked_again_and_one_that_keeps_failing_is_named() {
    let stage = Stage::set().await;
    let broken = Answer::Status(500, vec![], "<html>oops</html>".into());
    stage.model.tell([broken.clone(), Answer::Words("better".into())]);
    assert_eq!(words(stage.ask_as_hub(&request("hi")).await.1), "better");
    stage.model.tell(vec![broken; 20]);
    let detail = failed(stage.ask_as_hub(&request("hi")).await.1, ChatError::Busy);
    let host = stage.model.base_url.trim_start_matches("http://").trim_end_matches("/v1");
    assert!(
        detail.starts_with(&format!("the model server at {host} is overloaded or broken (status 500 after ")),
        "{detail}"
    );
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_at_the_deadline() {
    let stage = Stage::set().await;
    stage.model.tell([Answer::Hang]);
    let began = Instant::now();
    let detail = failed(stage.ask_as_hub(&request("hi")).await.1, ChatError::Timeout);
    assert!((TIMEOUT..TIMEOUT * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert!(detail.contains("did not finish its answer within 4s"), "{detail}");
    // It does not hold up others.
    stage.model.tell([Answer::Hang, Answer::Words("me".into())]);
    let (first, second) = (request("one"), request("two"));
    let hung = stage.ask_as_hub(&first);
    let quick = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let began = Instant::now();
        assert_eq!(words(stage.ask_as_hub(&second).await.1), "me");
        assert!(began.elapsed() < Duration::from_secs(2));
    };
    tokio::join!(hung, quick);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_taken_for_a_whole_one() {
    let stage = Stage::set().await;
    let half = vec![delta(&json!({"content": "fifty-"}))];
    stage.model.tell([Answer::Cut(half.clone()), Answer::Stream(half)]);
    for _ in 0..2 {
        let (tokens, last) = stage.ask_as_hub(&streamed("fare?")).await;
        assert_eq!(tokens, ["fifty-"]);
        assert!(failed(last, ChatError::Cut).contains("broke off in the middle"));
    }
}

#[tokio::test]
async fn nonsense_refusals_and_wrong_keys_are_told_apart() {
    let stage = Stage::set().await;
    let echo = json!({"error": {"message": format!("Incorrect API key provided: {KEY}")}}).to_string();
    stage.model.tell([
        Answer::Status(200, vec![("content-type", "text/html".into())], "<html>login</html>".into()),
        Answer::Json(json!({"choices": []})),
        Answer::Status(401, vec![], echo.clone()),
        Answer::Status(400, vec![], json!({"error": {"message": "context too long"}}).to_string()),
        Answer::Status(400, vec![], echo),
        Answer::Status(302, vec![("location", "http://127.0.0.1:1/".into())], String::new()),
    ]);
    let mut details = Vec::new();
    for code in [
        ChatError::Nonsense,
        ChatError::Nonsense,
        ChatError::Key,
        ChatError::Refused,
        ChatError::Refused,
        ChatError::Refused,
    ] {
        details.push(failed(stage.ask_as_hub(&request("hi")).await.1, code));
    }
    assert!(details[0].contains("not in the OpenAI protocol"), "{}", details[0]);
    assert!(details[2].contains("does not accept the key (status 401)"), "{}", details[2]);
    assert!(details[3].ends_with("refuses the request (status 400): context too long"), "{}", details[3]);
    assert!(details[5].contains("status 302"), "{}", details[5]);
    assert_eq!(stage.model.seen().len(), 6, "what the client did wrong is not tried again");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let nats = Nats::start();
    let _gateway = Core::start(&nats, "llm-gateway", &Role::LlmGateway, config("http://127.0.0.1:1/v1"));
    let hub = nats.bus(&Role::Hub).await;
    let (_, reply) =
        ask(&hub, &Subject::HubOut { service: Service::Llm, op: Op::CHAT }, &request("hi")).await;
    let detail = failed(reply, ChatError::Unreachable);
    assert!(
        detail.starts_with("the model server at 127.0.0.1:1 cannot be reached: Connection refused"),
        "{detail}"
    );
}

#[tokio::test]
async fn the_key_appears_nowhere_but_at_the_server() {
    let mut stage = Stage::set().await;
    let mut tap = stage.nats.raw(&Role::Tap);
    tap.subscribe("secgpt.>", None, 1).unwrap();
    let a = spoke("a1");
    let bus = stage.nats.bus(&Role::Spoke(a.clone())).await;
    stage.budget(&a, 9, 9000, None).await;
    let echo = json!({"error": {"message": format!("no: {KEY}")}}).to_string();
    stage.model.tell([
        Answer::Words("fine".into()),
        Answer::Status(400, vec![], echo.clone()),
        Answer::Status(401, vec![], echo.clone()),
        Answer::Status(503, vec![("retry-after", "60".into())], echo.clone()),
        Answer::Status(200, vec![], echo.clone()),
        Answer::Cut(vec![json!({"error": {"message": format!("no: {KEY}")}})]),
    ]);
    for _ in 0..5 {
        ask_as(&bus, &a, &request("hi")).await;
    }
    ask_as(&bus, &a, &streamed("hi")).await;
    bus.publish(&Subject::SpokeOut { spoke: a, service: Service::Llm, op: Op::CHAT }, &BudgetSet {}, None)
        .await
        .unwrap();
    bus.flush().await.unwrap();
    stage.gateway.stop();
    let on_the_bus = tap.messages().unwrap();
    // Control: the server did see it, the tap did see the talk, and the log is there.
    assert!(stage.model.seen().iter().all(|seen| seen.headers["authorization"] == format!("Bearer {KEY}")));
    assert!(12 < on_the_bus.len());
    let log = stage.gateway.log();
    assert!(log.contains("no answer"), "{log}");
    assert!(!log.contains(KEY), "the key is in the log:\n{log}");
    for message in on_the_bus {
        let text = String::from_utf8_lossy(&message.bytes);
        assert!(!text.contains(KEY), "the key is on {}: {text}", message.subject);
    }
    assert!(!stage.nats.log().contains(KEY));
}

#[tokio::test]
async fn one_task_cannot_take_all_the_places() {
    let stage = Stage::set().await;
    let (a, b) = (spoke("a1"), spoke("b1"));
    let (bus_a, bus_b) =
        (stage.nats.bus(&Role::Spoke(a.clone())).await, stage.nats.bus(&Role::Spoke(b.clone())).await);
    stage.budget(&a, 1000, 1_000_000, None).await;
    stage.budget(&b, 1, 1000, None).await;
    stage.model.tell(vec![Answer::Hang; 8]);
    let asked = request("hi");
    let flood = async {
        let calls = (0..20).map(|_| ask_as(&bus_a, &a, &asked));
        futures_util::future::join_all(calls).await
    };
    let neighbour = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let began = Instant::now();
        assert_eq!(words(ask_as(&bus_b, &b, &asked).await), "hello");
        assert!(began.elapsed() < Duration::from_secs(2), "the neighbour waited {:?}", began.elapsed());
    };
    let (replies, ()) = tokio::join!(flood, neighbour);
    let denied = replies
        .iter()
        .filter(|reply| matches!(reply, ChatReply::Failed { code: ChatError::Budget, detail } if detail.starts_with("8 model calls")))
        .count();
    assert_eq!(denied, 12);
}

#[tokio::test]
async fn embeddings_come_in_the_order_of_the_texts() {
    let stage = Stage::set().await;
    stage.model.tell([Answer::Json(json!({"data": [
        {"index": 1, "embedding": [0.0, 1.0]}, {"index": 0, "embedding": [1.0, 0.0]}]}))]);
    let subject = Subject::HubOut { service: Service::Llm, op: Op::EMBED };
    let asked = EmbedRequest { texts: vec!["a".into(), "b".into()] };
    let EmbedReply { vectors } = stage.hub.request(&subject, &asked, None, TIMEOUT).await.unwrap();
    assert_eq!(vectors, Ok(vec![vec![1.0, 0.0], vec![0.0, 1.0]]));
    assert_eq!(stage.model.seen()[0].path, "/v1/embeddings");
    assert_eq!(stage.model.seen()[0].body["model"], "e1");
}

#[tokio::test]
async fn the_gateway_is_listed_as_a_service_and_counts() {
    let stage = Stage::set().await;
    stage.ask_as_hub(&request("hi")).await;
    let operator = stage.nats.bus(&Role::Operator).await;
    let mut answers = Vec::new();
    for verb in ["PING", "INFO", "STATS.secgpt-llm"] {
        let answer = operator.nats().request(format!("$SRV.{verb}"), "".into()).await.unwrap();
        answers.push(serde_json::from_slice::<serde_json::Value>(&answer.payload).unwrap());
    }
    assert_eq!(answers[0]["type"], "io.nats.micro.v1.ping_response");
    assert_eq!(answers[1]["name"], "secgpt-llm");
    assert_eq!(answers[1]["endpoints"][1]["subject"], "secgpt.hub.out.llm.*");
    assert_eq!(answers[2]["endpoints"][1]["num_requests"], 1);
}

#[tokio::test]
async fn malformed_requests_are_dropped_and_do_no_harm() {
    let stage = Stage::set().await;
    let mut tap = stage.nats.raw(&Role::Tap);
    tap.subscribe("secgpt.audit.llm.dropped", None, 1).unwrap();
    let a = spoke("a1");
    let mut raw = stage.nats.raw(&Role::Spoke(a.clone()));
    let own = "secgpt.spoke.mail.a1.in.reply.x";
    for (op, body) in [("chat", &b"\xc1garbage"[..]), ("chat", b""), ("budget", b"x"), ("fetch", b"x")] {
        raw.publish(&format!("secgpt.spoke.mail.a1.out.llm.{op}"), Some(own), body).unwrap();
    }
    let mut records = Vec::new();
    eventually("a record of each drop", || {
        records.extend(tap.messages().unwrap());
        (records.len() == 4).then_some(())
    });
    assert_eq!(words(stage.ask_as_hub(&request("hi")).await.1), "hello");
}
