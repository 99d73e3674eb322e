//! A large body to an app's own client, an ordinary HTTPS library, through the proxy on its loopback, beside the same client
//! without a jail and a proxy.
//!
//! On the way are one more connection and the spoke, and nothing is decrypted before the client: it is the longest way that a
//! byte takes here.

use std::path::Path;
use std::sync::Arc;

use bus::id::SpokeAddr;
use bus::message::profile::Profile;
use serde_json::{Value, json};
use system_tests::mcp_pipes::Pipes;
use system_tests::nats::Nats;
use system_tests::scratch::Scratch;
use system_tests::web_server::{Act, Authority, Server};

use crate::egress::gateway;
use crate::hub_place::{HubPlace, one_tool};
use crate::sample::rounded;

const APP: &str = "download";
const PROGRAM: &str = include_str!("download.py");
const COMMAND: [&str; 2] = ["python3", "server.py"];

/// As in the part before.
const LARGE: usize = 48 << 20;

/// How often it is fetched. The best counts: what else the machine does only ever slows it.
const TURNS: usize = 8;

pub async fn measure() -> Value {
    let authority = Authority::new();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\nConnection: close\r\n\r\n");
    let body = Arc::new(vec![b'x'; LARGE]);
    let server = Server::tls(&authority, &["127.0.0.1"], move |_| {
        vec![Act::Send(head.clone().into_bytes()), Act::Share(Arc::clone(&body)), Act::Close]
    })
    .await;
    let scratch = Scratch::new("bench-download");
    let apps = scratch.join("apps");
    let folder = apps.join(APP);
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("server.py"), PROGRAM).expect("a file");
    std::fs::write(folder.join("ca.pem"), authority.pem()).expect("a file");
    let nats = Nats::start();
    let _gateway = gateway(&nats, &scratch, APP, &authority, &server);
    let mut place = HubPlace::new(nats, apps, APP).await;
    let spoke = place.fresh();
    place.spawn(&spoke, profile(&spoke)).await;
    let args = json!({"url": format!("https://{}/", server.address)});
    let mut direct = Direct::start(&folder);
    // In turns, so that both meet the same weather.
    let (mut fast, mut fast_direct) = (f64::MAX, f64::MAX);
    for _ in 0..TURNS {
        let (again, args_again) = (direct, args.clone());
        (direct, fast_direct) = tokio::task::spawn_blocking(move || again.seconds(&args_again, fast_direct))
            .await
            .expect("a thread");
        fast = fast.min(seconds(&place.call(&spoke, "download", args.clone()).await));
    }
    let mib = |seconds: f64| rounded((LARGE >> 20) as f64 / seconds);
    json!({
        "mib_per_s": mib(fast),
        "direct_mib_per_s": mib(fast_direct),
        "share_of_throughput": rounded(fast_direct / fast),
    })
}

/// The same program, outside of any jail.
struct Direct(Pipes);

impl Direct {
    fn start(folder: &Path) -> Self {
        Self(Pipes::start(&COMMAND.map(str::to_owned), folder, &json!({})))
    }

    /// One more download, and the quickest so far.
    fn seconds(mut self, args: &Value, so_far: f64) -> (Self, f64) {
        let result = self.0.call("download", args);
        let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{result}"));
        let took = seconds(&serde_json::from_str(text).expect("JSON"));
        (self, so_far.min(took))
    }
}

fn seconds(said: &Value) -> f64 {
    assert_eq!(said["bytes"], LARGE, "{said}");
    said["seconds"].as_f64().expect("seconds")
}

fn profile(spoke: &SpokeAddr) -> Profile {
    let request = json!({"type": "object", "required": ["url"]});
    Profile { network: true, ..one_tool(&spoke.app, "download", request, None, &COMMAND) }
}
