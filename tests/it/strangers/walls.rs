//! What none of them can do, tried by their own interpreters before the server's first line.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use system_tests::mcp_pipes::Pipes;
use system_tests::package::{EVERYTHING, FILESYSTEM, GIT, Package, TIME};
use system_tests::program::eventually;
use system_tests::scratch::Scratch;

/// Tries to read and to connect, and writes down what came of it. For Python, as what every interpreter loads first.
const PYTHON: &str = r#"
import json, os, socket
if "APP_DATA" in os.environ:
    tried = {}
    try:
        tried["read"] = open("@FILE").read()
    except OSError as error:
        tried["read"] = error.strerror
    try:
        socket.create_connection(("127.0.0.1", @PORT), 5).close()
        tried["connect"] = "connected"
    except OSError as error:
        tried["connect"] = str(error)
    with open(os.environ["APP_DATA"] + "/tried.json", "w") as file:
        json.dump(tried, file)
"#;

/// The same for Node.
const NODE: &str = r#"
const fs = require("fs"), net = require("net");
if (process.env.APP_DATA) {
  const tried = {};
  try { tried.read = fs.readFileSync("@FILE", "utf8"); } catch (error) { tried.read = error.code; }
  const done = (said) => {
    tried.connect = said;
    fs.writeFileSync(process.env.APP_DATA + "/tried.json", JSON.stringify(tried));
  };
  const socket = net.connect(@PORT, "127.0.0.1", () => { socket.destroy(); done("connected"); });
  socket.on("error", (error) => done(error.code));
}
"#;

fn tried(file: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

#[test]
fn none_of_the_four_reads_outside_its_folders_or_reaches_a_host_that_is_not_named() {
    let (apps, outside) = (Scratch::new("strangers"), Scratch::new("outside"));
    let file = outside.join("private.txt");
    std::fs::write(&file, "the private words").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let reached = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reached);
    std::thread::spawn(move || {
        for _ in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let filled =
        |hook: &str| hook.replace("@FILE", &file.display().to_string()).replace("@PORT", &port.to_string());
    let servers: [(Package, bool, &str); 4] = [
        (TIME, true, r#"get_current_time with {"timezone": "UTC"}"#),
        (GIT, true, r#"git_status with {"repo_path": "/app"}"#),
        (EVERYTHING, false, r#"echo with {"message": "hello"}"#),
        (FILESYSTEM, false, "list_allowed_directories"),
    ];
    for (package, python, _) in servers {
        let first: &[&str] = if python { &[] } else { &["--require", "./hook.cjs"] };
        let mut command = package.command(first);
        for word in &mut command {
            // Ours comes first.
            if word == "PYTHONPATH=lib" {
                *word = "PYTHONPATH=hook:lib".to_owned();
            }
        }
        let folder = package.place(&apps);
        std::fs::write(folder.join("hook.cjs"), filled(NODE)).unwrap();
        std::fs::create_dir(folder.join("hook")).unwrap();
        std::fs::write(folder.join("hook/sitecustomize.py"), filled(PYTHON)).unwrap();
        package.describe(&folder, &command, "", "", &json!({}));

        // Control: outside of a jail, it reads and connects.
        let data = outside.join(package.app);
        std::fs::create_dir(&data).unwrap();
        let server =
            Pipes::start_with(&command, &folder, &json!({}), &[("APP_DATA", data.to_str().unwrap())]);
        let said = eventually("it has tried", || tried(&data.join("tried.json")));
        assert_eq!(said, json!({"read": "the private words", "connect": "connected"}), "{}", package.app);
        drop(server);
    }
    eventually("all of them were heard", || (4 <= reached.load(Ordering::SeqCst)).then_some(()));
    let before = reached.load(Ordering::SeqCst);

    let system = super::system(&apps);
    let user = |app: &str| {
        let users = std::fs::read_dir(system.state().join("data")).ok()?.flatten();
        users.into_iter().find_map(|user| tried(&user.path().join(app).join("tried.json")))
    };
    for (package, _, call) in servers {
        system.ask(&format!("call {}.{call}", package.app));
        let said = eventually("it has tried in its jail", || user(package.app));
        assert_ne!(said["read"], "the private words", "{}", package.app);
        assert_ne!(said["connect"], "connected", "{}", package.app);
    }
    assert_eq!(reached.load(Ordering::SeqCst), before);
}
