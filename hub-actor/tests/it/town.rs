//! A hub with its peers.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bus::acl::Role;
use bus::id::AppId;
use bus::launch::HubConfig;
use bus::message::audit::{Record, What};
use bus::message::user::{Choice, Prompt};
use bus::secret::Secret;
use bus::subject::{Subject, pattern};
use hub_actor::hub::Hub;
use serde_json::{Value, json};

use crate::broker::{Broker, Redis};
use crate::client::{Answers, Client};
use crate::peers::{Gateway, Host, Script, Spoke, Starts, script};

/// What a test starts from.
pub struct Plot {
    /// What the planner's model says, one after another.
    pub plans: Vec<Value>,
    /// What spokes do.
    pub script: Script,
    /// What the user answers to prompts.
    pub answers: Answers,
    /// What hosts do with spawn requests: one host for each.
    pub hosts: Vec<Starts>,
    /// Is there a store?
    pub redis: Redis,
    pub preset: &'static str,
    /// Is there an app `vault` that does what `drive` does?
    pub vault: bool,
    pub prompt_timeout: Duration,
}

impl Plot {
    pub fn new(plans: Vec<Value>, script: Script) -> Self {
        Self {
            plans,
            script,
            answers: Rc::new(|_| Some(Choice::Deny)),
            hosts: vec![Starts::Well],
            redis: Redis::start(),
            preset: "balanced",
            vault: false,
            prompt_timeout: Duration::from_secs(10),
        }
    }

    pub fn answering(mut self, answers: impl Fn(&Prompt) -> Option<Choice> + 'static) -> Self {
        self.answers = Rc::new(answers);
        self
    }
}

pub struct Town {
    pub hub: Option<Hub>,
    pub hosts: Vec<Host>,
    pub gateway: Gateway,
    pub ann: Client,
    pub audit: Rc<RefCell<Vec<(Subject, Record)>>>,
    pub redis: Redis,
    config: HubConfig,
    pub broker: Broker,
}

/// Runs a test in the hub's own kind of runtime.
pub fn run(test: impl Future<Output = ()>) {
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_test_writer()
        .try_init();
    actix::System::new().block_on(async {
        tokio::time::timeout(Duration::from_secs(60), test).await.expect("in time");
    });
}

impl Town {
    pub async fn found(plot: Plot) -> Self {
        let broker = Broker::start();
        let tap = broker.bus(&Role::Tap).await;
        let mut records = tap.subscribe(pattern::AUDIT).await.unwrap();
        let audit: Rc<RefCell<Vec<(Subject, Record)>>> = Rc::default();
        let list = Rc::clone(&audit);
        actix::spawn(async move {
            while let Some(message) = records.next().await {
                list.borrow_mut().push((message.subject.clone(), message.body().unwrap()));
            }
        });
        let says = plot.plans.iter().map(|plan| plan.as_str().map_or_else(|| plan.to_string(), Into::into));
        let gateway = Gateway::join(&broker, says.collect()).await;
        let folder = broker.folder.path().join("apps");
        write_apps(&folder, plot.vault);
        let config = config(&broker, &plot, &folder);
        let hub = Hub::start_on(broker.bus(&Role::Hub).await, &config).await.unwrap();
        let (manifests, problems) = manifest::load_all(&config.apps, None, &config.limits);
        assert!(problems.is_empty(), "{problems:?}");
        let apps: Vec<(AppId, String)> =
            manifests.into_iter().map(|manifest| (manifest.app, manifest.hash)).collect();
        let mut hosts = Vec::new();
        for (starts, name) in plot.hosts.into_iter().zip(["a", "b", "c"]) {
            hosts.push(Host::join(&broker, name, apps.clone(), starts, Rc::clone(&plot.script)).await);
        }
        let ann = Client::join(&broker, "ann", plot.answers).await;
        Self { hub: Some(hub), hosts, gateway, ann, audit, redis: plot.redis, config, broker }
    }

    /// Another hub takes the place of this one, on the same broker.
    pub async fn restart_hub(&mut self) {
        if let Some(hub) = self.hub.take() {
            hub.stop().await;
        }
        self.hub = Some(Hub::start_on(self.broker.bus(&Role::Hub).await, &self.config).await.unwrap());
    }

    /// One more word in an app's manifest: it is another app now.
    pub fn change_app(&self, name: &str) {
        let file = self.broker.folder.path().join("apps").join(name).join("app.toml");
        let text = std::fs::read_to_string(&file).unwrap().replace("For tests.", "For other tests.");
        std::fs::write(file, text).unwrap();
    }

    /// A host that nobody asked.
    pub async fn stranger(&self, name: &str) -> bus::client::Bus {
        self.broker.bus(&Role::Host(bus::id::HostId::parse(name).unwrap())).await
    }

    /// The apps whose spokes the first host has started, in order. The hub's own empty spokes are left out: memory
    /// starts one after an answer, at its own time.
    pub fn apps_started(&self) -> Vec<String> {
        let spawned = self.hosts[0].spawned.borrow();
        let apps = spawned.iter().map(|spawn| spawn.spoke.app.to_string());
        apps.filter(|app| app != "empty").collect()
    }

    /// Waits until something of this kind is in the audit.
    pub async fn audited(&self, what: impl Fn(&What) -> bool) {
        let begun = Instant::now();
        while !self.audit.borrow().iter().any(|(_, record)| what(&record.what)) {
            assert!(begun.elapsed() < Duration::from_secs(5), "not in the audit: {:#?}", self.audit.borrow());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the first host was told to stop a spoke for this reason.
    pub async fn stopped(&self, why: &str) {
        let begun = Instant::now();
        while !self.hosts[0].stopped.borrow().iter().any(|stop| stop.why.contains(why)) {
            assert!(
                begun.elapsed() < Duration::from_secs(5),
                "not stopped: {:#?}",
                self.hosts[0].stopped.borrow()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn dropped(&self, why: &str) {
        self.audited(|what| matches!(what, What::Dropped { why: said, .. } if said.contains(why))).await;
    }
}

fn config(broker: &Broker, plot: &Plot, apps: &Path) -> HubConfig {
    HubConfig {
        apps: vec![apps.to_owned()],
        enabled: None,
        authorized: Vec::new(),
        prompts: Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/prompts"),
        preset: plot.preset.into(),
        presets: None,
        policies: Vec::new(),
        prompt_timeout_ms: u64::try_from(plot.prompt_timeout.as_millis()).unwrap(),
        memory_url: Secret::new(plot.redis.url()),
        memory_ttl_s: 600,
        summary_token_limit: 300,
        signing_seed: broker.realm.signing.clone(),
        account: broker.realm.claims(&[]).unwrap().account.0,
        limits: manifest::limits::DEFAULT,
        embeddings: false,
    }
}

/// Three apps. `mail` reads, keeps drafts and sends; `drive` reads; `muse` is a prompt. And `vault`, which reads as well.
fn write_apps(folder: &Path, vault: bool) {
    let app = |name: &str, kind: &str, functions: &[(&str, &str, &str)]| {
        let dir = folder.join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let object = |field: &str| {
            json!({"type": "object", "properties": {field: {"type": "string"}}, "required": [field]})
                .to_string()
        };
        std::fs::write(dir.join("in.json"), object("text")).unwrap();
        std::fs::write(dir.join("out.json"), object("text")).unwrap();
        let mut manifest = format!("name = \"{name}\"\n{kind}\ndescription = \"For tests.\"\n");
        for (function, effect, more) in functions {
            manifest.push_str(&format!(
                "[[functionality]]\nname = \"{function}\"\neffect = \"{effect}\"\nsummary = \"{function}\"\n\
                 request = \"in.json\"\nresponse = \"out.json\"\n{more}\n"
            ));
        }
        std::fs::write(dir.join("app.toml"), manifest).unwrap();
    };
    let stdio = "kind = \"mcp\"\ncommand = [\"x\"]";
    app(
        "mail",
        stdio,
        &[
            ("newest", "read", ""),
            ("draft", "write", "destinations = [\"text\"]"),
            ("send", "irreversible", "destinations = [\"text\"]"),
        ],
    );
    app("drive", stdio, &[("read", "read", "")]);
    if vault {
        app("vault", stdio, &[("read", "read", "")]);
    }
    app("muse", "kind = \"prompt\"", &[("respond", "read", "")]);
}

/// A plan of calls with one argument `text` each.
pub fn calls(steps: &[(&str, &str)]) -> Value {
    let steps: Vec<Value> = steps
        .iter()
        .enumerate()
        .map(|(index, (functionality, text))| {
            json!({"id": format!("s{}", index + 1), "kind": "call", "functionality": functionality,
                   "args": {"text": text}, "after": []})
        })
        .collect();
    json!({"answer": null, "steps": steps})
}

/// A plan of one delegate.
pub fn delegate(app: &str) -> Value {
    json!({"answer": null, "steps": [{"id": "s1", "kind": "delegate", "app": app, "request": "do it", "after": []}]})
}

/// Spokes that answer a call with `<app> says <text>`, compose by joining, and a delegate by what `act` does.
pub fn well<F: Future<Output = String> + 'static>(
    act: impl Fn(Spoke, bus::id::WorkId) -> F + 'static,
) -> Script {
    let act = Rc::new(act);
    script(move |spoke, task| {
        let act = Rc::clone(&act);
        async move {
            match &task.work {
                bus::message::task::Work::Call { args, .. } => {
                    let text = format!("{} says {}", spoke.app(), args["text"].as_str().unwrap_or_default());
                    spoke.done(&task.id, Ok(json!({"text": text}))).await;
                }
                bus::message::task::Work::Delegate { .. } => {
                    let text = act(spoke.clone(), task.id.clone()).await;
                    spoke.said(&task.id, &text).await;
                }
                bus::message::task::Work::Converse { turns, schema, .. } => {
                    converse(&spoke, &task.id, turns, schema.is_some()).await;
                }
            }
        }
    })
}

async fn converse(spoke: &Spoke, task: &bus::id::WorkId, turns: &[bus::message::chat::Turn], derive: bool) {
    let (bus::message::chat::Turn::System { text: system }, bus::message::chat::Turn::User { text }) =
        (&turns[0], &turns[1])
    else {
        panic!("two turns")
    };
    let sent: Value = serde_json::from_str(text).unwrap();
    if derive {
        let value = json!({"value": format!("derived from {}", sent["source"]["text"].as_str().unwrap())});
        spoke.done(task, Ok(value)).await;
    } else if system.starts_with("You keep the entities") {
        let said = sent["turns"][0]["text"].as_str().unwrap();
        let entities =
            if said.contains("cardio") { json!({"condition": "cardio", "name": "Ann"}) } else { json!({}) };
        spoke.said(task, &entities.to_string()).await;
    } else if system.starts_with("You keep the running summary") {
        spoke.said(task, "a summary").await;
    } else {
        spoke.token(task, "composed: ").await;
        let said: Vec<String> = sent["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|result| {
                let value = &result["value"];
                let text = value["text"].as_str().or(value.as_str()).or(result["error"].as_str());
                text.unwrap().to_owned()
            })
            .collect();
        spoke.said(task, &format!("composed: {}", said.join(", "))).await;
    }
}

/// Spokes that only answer calls.
pub fn plain() -> Script {
    well(|_, _| async { "done".to_owned() })
}
