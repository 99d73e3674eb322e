//! The features of the protocol, as the server that has every one of them shows them.
//!
//! The table in `spoke-host/spoke/README.md` is what is found here.

use std::net::TcpListener;
use std::process::Command;

use serde_json::{Value, json};
use system_tests::bundle::workspace;
use system_tests::package::{EVERYTHING, Package};
use system_tests::program::{Program, eventually};
use system_tests::scratch::Scratch;
use system_tests::system::{Asked, Options, System};

const WORKS: &str = "works";
const REFUSED: &str = "refused by policy";
const NOT: &str = "not supported";

/// What is no tool.
const MORE: &str = r#"
[[functionality]]
name = "list_resources"
effect = "read"
method = "resources/list"
[[functionality]]
name = "read_resource"
effect = "read"
method = "resources/read"
[[functionality]]
name = "list_prompts"
effect = "read"
method = "prompts/list"
[[functionality]]
name = "get_prompt"
effect = "read"
method = "prompts/get"
"#;

/// A tool of which the server says that its client cannot have it.
const ROOTS: &str = r#"
[[functionality]]
name = "get-roots-list"
effect = "read"
request = "none.json"
"#;

/// The same package, where the manifest lets it ask.
const ASKING: Package = EVERYTHING;

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn error(asked: &Asked) -> String {
    text(&asked.outcome["error"])
}

/// What was found about a feature; `well` says whether it is so.
fn found(feature: &str, verdict: &str, well: bool, seen: &Asked) -> (String, String) {
    assert!(well, "{feature} is not as it should be ({verdict}): {seen:#?}");
    (feature.to_owned(), verdict.to_owned())
}

#[test]
fn the_table_of_the_protocols_features_is_what_the_everything_server_shows() {
    let apps = Scratch::new("strangers");
    let folder = EVERYTHING.app(&apps, "", &format!("{MORE}{ROOTS}"), &json!({}));
    std::fs::write(folder.join("none.json"), r#"{"type": "object"}"#).unwrap();
    let wishes = "[mcp]\nsampling = true\nelicitation = true\n";
    let declares = json!({"sampling": {}, "elicitation": {}});
    ASKING.named("asking").app(&apps, wishes, "", &declares);
    let system = super::system(&apps);
    let call = |call: &str| system.ask(&format!("call {call}"));
    let result = |call_: &str| {
        let asked = call(call_);
        let value = asked.outcome["results"][0]["value"].clone();
        (asked, value)
    };
    let mut table = Vec::new();
    let mut row = |feature: &str, verdict: &str, well: bool, seen: &Asked| {
        table.push(found(feature, verdict, well, seen));
    };

    let (seen, value) = result(r#"everything.echo with {"message": "hello"}"#);
    row("tools", WORKS, value == "Echo: hello", &seen);
    let (seen, value) = result(r#"everything.get-structured-content with {"location": "Chicago"}"#);
    row("structured content", WORKS, value["conditions"].is_string(), &seen);
    let (seen, value) = result("everything.get-tiny-image");
    row("images and sounds in results", WORKS, value["content"][1]["type"] == "image", &seen);
    let (seen, value) = result(r#"everything.get-resource-links with {"count": 2}"#);
    row("resources in results", WORKS, value["content"][1]["type"] == "resource_link", &seen);
    let seen = call(r#"everything.get-resource-reference with {"resourceType": "Text", "resourceId": -1}"#);
    row("errors of tools", WORKS, seen.code == Some(1) && error(&seen).contains("resourceId"), &seen);
    // This server says at its start that its tools have changed.
    let (seen, value) = result(r#"everything.get-sum with {"a": 1, "b": 2}"#);
    row("changes of tools", WORKS, text(&value).contains("is 3"), &seen);
    let (seen, value) = result("everything.list_resources");
    let uri = text(&value["resources"][0]["uri"]);
    let (_, content) = result(&format!("everything.read_resource with {{\"uri\": \"{uri}\"}}"));
    row("resources", WORKS, content["contents"][0]["text"].is_string(), &seen);
    let seen = call("everything.toggle-subscriber-updates");
    row("subscriptions to resources", NOT, refuses_to_load("resources/subscribe"), &seen);
    let (seen, value) = result("everything.list_prompts");
    let (_, prompt) = result(r#"everything.get_prompt with {"name": "simple-prompt"}"#);
    let well = value["prompts"].is_array() && prompt["messages"][0]["content"]["text"].is_string();
    row("prompts", WORKS, well, &seen);
    row("completion of arguments", NOT, refuses_to_load("completion/complete"), &seen);
    let seen = call("everything.toggle-simulated-logging");
    eventually("its words reach the log", || system.log("hub").contains("-level message").then_some(()));
    row("log messages", WORKS, seen.code == Some(0), &seen);
    let (seen, value) =
        result(r#"everything.trigger-long-running-operation with {"duration": 1, "steps": 2}"#);
    row("progress", NOT, text(&value).contains("completed") && !seen.stdout.contains("progress"), &seen);
    let seen = call(r#"everything.simulate-research-query with {"topic": "rain"}"#);
    row("tasks", NOT, error(&seen).contains("task"), &seen);
    let seen = call("everything.get-roots-list");
    row("roots", NOT, error(&seen).contains("does not offer get-roots-list"), &seen);
    let (seen, value) = result("everything.get-env");
    row(
        "the environment of the server",
        WORKS,
        value["HOME"] == "/data" && value.get("USER").is_none(),
        &seen,
    );
    let data = |address: &str| {
        call(&format!(
            "everything.gzip-file-as-resource with {{\"name\": \"a.gz\", \"data\": \"{address}\", \"outputType\": \"resource\"}}"
        ))
    };
    // Control: what needs no host works.
    assert_eq!(data("data:text/plain,hello").code, Some(0));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let seen = data(&address);
    row("the web, hosts that are not named", REFUSED, seen.code == Some(1), &seen);

    let sample = r#"call asking.trigger-sampling-request with {"prompt": "What is the capital of France?", "maxTokens": 50}"#;
    let seen = system.ask(sample);
    let refused = seen.flows("asking.mcp-sampling").iter().any(|flow| flow["decision"] == "deny");
    row("sampling", REFUSED, refused, &seen);
    let seen = system.ask_with(&["--consent", "once"], sample);
    let value = text(&seen.outcome["results"][0]["value"]);
    row("sampling, named in the manifest and allowed", WORKS, value.contains("Paris"), &seen);
    let seen = system.ask_with(&["--consent", "once"], "call asking.trigger-elicitation-request");
    let value = text(&seen.outcome["results"][0]["value"]);
    row("elicitation of what must be typed", NOT, value.contains("declined"), &seen);

    let readme = std::fs::read_to_string(workspace().join("spoke-host/spoke/README.md")).unwrap();
    let written: Vec<(String, String)> = readme
        .lines()
        .skip_while(|line| !line.starts_with("| Feature"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .filter_map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            Some(((*cells.first()?).to_owned(), (*cells.get(1)?).to_owned()))
        })
        .collect();
    assert_eq!(written, table, "the table of the README, and what was found");
}

/// A manifest that names this method is not taken.
fn refuses_to_load(method: &str) -> bool {
    let apps = Scratch::new("strangers");
    let folder = apps.join("naming");
    std::fs::create_dir(&folder).unwrap();
    let manifest = format!(
        "name = \"naming\"\nkind = \"mcp\"\ndescription = \"x\"\ncommand = [\"true\"]\n\
         [[functionality]]\nname = \"it\"\neffect = \"read\"\nmethod = {method:?}\n"
    );
    std::fs::write(folder.join("app.toml"), manifest).unwrap();
    let system = System::at_rest(Options::default().set("apps.dirs", &json!([apps.path()]).to_string()));
    let listed = system.secgpt(&["apps", "list"]);
    (listed.stdout + &listed.stderr).contains("unknown variant")
}

#[test]
fn a_server_on_the_web_is_called_through_the_gateway_where_the_manifest_names_its_host() {
    let apps = Scratch::new("strangers");
    let folder = EVERYTHING.app(&apps, "", "", &json!({}));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new("node");
    command
        .arg("node_modules/@modelcontextprotocol/server-everything/dist/index.js")
        .arg("streamableHttp")
        .env("PORT", port.to_string())
        .current_dir(&folder);
    let server = Program::start(&mut command, &apps.join("server.log"));
    eventually("the server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    for (name, network) in [
        ("named", format!("[network]\nlocal = [\"127.0.0.1:{port}\"]\n")),
        ("elsewhere", "[network]\nhosts = [\"api.a.example\"]\n".to_owned()),
    ] {
        let app = apps.join(name);
        std::fs::create_dir(&app).unwrap();
        std::fs::copy(folder.join("discovered.json"), app.join("discovered.json")).unwrap();
        let manifest = format!(
            "name = {name:?}\nkind = \"mcp\"\ndescription = \"x\"\nurl = \"http://127.0.0.1:{port}/mcp\"\n{network}\
             [[functionality]]\nname = \"get-sum\"\neffect = \"read\"\ndiscovered = true\n"
        );
        std::fs::write(app.join("app.toml"), manifest).unwrap();
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let system = super::system(&apps);
    let asked = system.ask(r#"call named.get-sum with {"a": 2, "b": 40}"#);
    assert_eq!(asked.value("named.get-sum"), "The sum of 2 and 40 is 42.");
    let heard = server.log().matches("POST").count();
    let asked = system.ask(r#"call elsewhere.get-sum with {"a": 2, "b": 40}"#);
    assert_eq!(asked.code, Some(1), "{asked:?}");
    assert!(error(&asked).contains("127.0.0.1") && error(&asked).contains("local"), "{asked:?}");
    assert_eq!(server.log().matches("POST").count(), heard);
}
