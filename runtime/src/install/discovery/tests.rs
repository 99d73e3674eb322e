//! From a challenge to a sign-in, over a web that is a table.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bus::message::egress::WebError;
use futures_util::StreamExt;
use futures_util::stream::iter;
use manifest::Manifest;
use proptest::prelude::*;
use spoke::remote::Fetched;

use super::*;
use crate::install::access;
use crate::install::propose::{self, Proposal, Run};

const OWN: &str = "https://mcp.a.example/mcp";
const AT: &str = "https://mcp.a.example/.well-known/oauth-protected-resource";
const LOGIN: &str = "https://login.a.example";

/// Places with what they answer, and what was asked of them.
#[derive(Clone, Default)]
struct Web {
    says: Arc<BTreeMap<String, (u16, String)>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    fn new(says: &[(&str, u16, &str)]) -> Self {
        let says = says.iter().map(|(url, status, text)| ((*url).to_owned(), (*status, (*text).to_owned())));
        Self { says: Arc::new(says.collect()), asked: Arc::default() }
    }

    fn way(&self) -> impl Fn(&Url) -> Result<Fetch, Error> {
        let web = self.clone();
        move |_: &Url| {
            let web = web.clone();
            let fetch: Fetch = Arc::new(move |request: FetchRequest| {
                web.asked.lock().unwrap().push(format!("{} {}", request.method, request.url));
                let said = web.says.get(&request.url).cloned();
                Box::pin(async move {
                    let none = || WebFailure::new(WebError::Connect, "nobody is there");
                    let (status, text) = said.ok_or_else(none)?;
                    let pieces: Vec<_> =
                        text.as_bytes().chunks(1000).map(|piece| Ok(piece.to_vec().into())).collect();
                    Ok(Fetched { status, headers: Vec::new(), body: iter(pieces).boxed() })
                })
            });
            Ok(fetch)
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    async fn discover(&self, challenge: &str) -> Result<SignIn, String> {
        let server = Server { url: OWN, local: &[] };
        discover(server, &[challenge.to_owned()], self.way()).await
    }
}

fn of_resource(issuer: &str) -> String {
    json!({"resource": OWN, "authorization_servers": [issuer], "scopes_supported": ["all"]}).to_string()
}

fn of_login(issuer: &str) -> String {
    json!({"issuer": issuer, "authorization_endpoint": format!("{LOGIN}/a"), "token_endpoint": format!("{LOGIN}/t"),
        "code_challenge_methods_supported": ["S256"]})
    .to_string()
}

#[tokio::test]
async fn a_challenge_leads_to_the_authorization_server_and_no_further() {
    let (own, login) = (of_resource(LOGIN), of_login(LOGIN));
    let at_login = format!("{LOGIN}/.well-known/oauth-authorization-server");
    let web = Web::new(&[("https://mcp.a.example/said", 200, &own), (&at_login, 200, &login)]);
    let found = web
        .discover("Bearer resource_metadata=\"https://mcp.a.example/said\", scope=\"one two\"")
        .await
        .unwrap();
    assert_eq!((found.issuer.as_str(), found.resource.as_str()), (LOGIN, OWN));
    assert_eq!(found.scopes, ["one", "two"], "what is wanted now");
    assert_eq!(web.asked(), ["GET https://mcp.a.example/said".to_owned(), format!("GET {at_login}")]);
    let told = found.to_string();
    assert!(told.contains("leave at login.a.example") && told.ends_with("by hand; for one, two"), "{told}");
}

#[tokio::test]
async fn without_a_word_it_is_looked_for_where_it_usually_is() {
    let issuer = format!("{LOGIN}/tenant");
    let (own, login) = (of_resource(&issuer), of_login(&issuer));
    let last = format!("{issuer}/.well-known/openid-configuration");
    let first = format!("{LOGIN}/.well-known/oauth-authorization-server/tenant");
    let web = Web::new(&[
        (&format!("{AT}/mcp"), 404, ""),
        (AT, 200, &own),
        (&first, 200, "<html>Sign in</html>"),
        (&last, 200, &login),
    ]);
    let found = web.discover("Bearer").await.unwrap();
    assert_eq!((found.scopes, found.issuer), (vec!["all".to_owned()], issuer));
    assert_eq!(web.asked().len(), 5, "{:?}", web.asked());
}

#[tokio::test]
async fn what_is_not_as_it_should_be_is_a_sentence_and_asks_nobody_else() {
    let own = of_resource(LOGIN);
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(LARGEST));
    let private = of_resource("https://169.254.169.254/latest");
    let clear = of_resource("http://login.a.example");
    let other = of_resource(LOGIN).replace(OWN, "https://evil.example/mcp");
    let said = "Bearer resource_metadata=\"https://mcp.a.example/said\"";
    let of = |text: &str| {
        Web::new(&[("https://mcp.a.example/said", 200, text), (&format!("{LOGIN}/x"), 200, "{}")])
    };
    for (web, challenge, why, asked) in [
        (of(&own), "Bearer resource_metadata=\"https://evil.example/said\"", "not its own host", 0),
        (of(&own), "Bearer resource_metadata=\"http://169.254.169.254/\"", "not its own host", 0),
        (of(&own), "Bearer resource_metadata=\"/said\"", "is none", 0),
        (of(&private), said, "169.254.169.254:443, an address that nobody has named", 1),
        (of(&clear), said, "begins with https://", 1),
        (of(&other), said, "of another server", 1),
        (of(&large), said, "more than 64 KiB", 1),
        (of("[1, 2]"), said, "no metadata", 1),
        (of(""), said, "no metadata", 1),
        (of("{\"a\": \u{1b}"), said, "RFC 9728", 1),
        (of("{\"resource\": 5}"), said, "RFC 9728", 1),
        (Web::default(), said, "nobody is there", 1),
        (Web::new(&[(&format!("{AT}/mcp"), 404, ""), (AT, 500, "")]), "Basic", "answers 404", 2),
        // And the authorization server, which is not there at all.
        (of(&own), said, "login.a.example/.well-known/oauth-authorization-server", 3),
    ] {
        let said = web.discover(challenge).await.unwrap_err();
        assert!(said.contains(why), "{why}: {said}");
        assert_eq!(web.asked().len(), asked, "{why}: {:?}", web.asked());
    }
}

#[test]
fn an_errand_may_go_to_one_host_and_do_nothing_there_but_ask() {
    let app = AppId::parse("far").unwrap();
    let local: Vec<SocketAddr> =
        ["10.0.0.5:443", "10.0.0.6:9000"].iter().map(|one| one.parse().unwrap()).collect();
    let network = |place: &str| {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("far");
        std::fs::create_dir(&dir).unwrap();
        let text = errand(&app, &Url::parse(place).unwrap(), &local).unwrap();
        std::fs::write(dir.join("app.toml"), text).unwrap();
        Manifest::as_it_stands(&dir, &manifest::limits::DEFAULT).unwrap().network
    };
    let named = network("https://login.a.example/x");
    assert_eq!((named.hosts, named.domains), (vec!["login.a.example".to_owned()], vec![]));
    assert_eq!(named.local, [local[0]], "a name may lead to what the person named, at its own port");
    assert_eq!(named.methods.into_iter().collect::<Vec<_>>(), ["GET"]);
    let address = network("https://10.0.0.6:9000/x");
    assert_eq!((address.hosts.len(), address.local), (0, vec![local[1]]));
    assert!(network("https://169.254.169.254/").is_empty(), "what nobody named is not named by this");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let way = |_: &Url| -> Result<Fetch, Error> { Ok(Arc::new(|_| Box::pin(std::future::pending()))) };
    let server = Server { url: OWN, local: &[] };
    let limit = Duration::from_millis(20);
    let said = within(limit, found(server, &[], way)).await.unwrap_err();
    assert!(said.contains("does not come within"), "{said}");
}

/// Is the manifest that is proposed for this sign-in one that can be used?
fn loads(sign_in: &SignIn) -> Result<Manifest, String> {
    let (root, app) = (tempfile::tempdir().unwrap(), AppId::parse("far").unwrap());
    let dir = root.path().join("far");
    std::fs::create_dir(&dir).unwrap();
    let access = access::of_server("mcp.a.example", Ok(sign_in));
    let run = Run::Remote { url: OWN, network: "hosts = [\"mcp.a.example\"]", access: &access.text };
    let text = propose::manifest(&app, "x", &run, &Proposal::default(), "url");
    std::fs::write(dir.join("app.toml"), text).unwrap();
    Manifest::as_it_stands(&dir, &manifest::limits::DEFAULT).map_err(|error| error.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_is_believed_makes_a_manifest_that_names_it_and_reaches_no_more(
        tail in "[a-zA-Z0-9/?&=.%:;@+~$,*!()-]{0,30}",
        issuer in "https://[a-z]{1,8}\\.example(/[a-z0-9/?%.@-]{0,8})?",
        scope in any::<String>(),
        clear in any::<bool>(),
    ) {
        let local: Vec<SocketAddr> = vec!["127.0.0.1:9000".parse().unwrap()];
        let begin = if clear { "http://127.0.0.1:9000/" } else { "https://login.example/" };
        let resource = json!({"resource": "https://mcp.a.example", "authorization_servers": [issuer],
            "scopes_supported": [scope, "read"]});
        let own = Url::parse(OWN).unwrap();
        let Ok(resource) = metadata::resource(&resource.to_string(), &own, &local) else { return Ok(()) };
        let place = format!("{begin}{tail}");
        let login = json!({"issuer": issuer, "authorization_endpoint": place, "token_endpoint": place,
            "device_authorization_endpoint": place, "registration_endpoint": place,
            "code_challenge_methods_supported": ["S256"]});
        let Ok(sign_in) = metadata::server(&login.to_string(), resource, &local) else { return Ok(()) };
        let manifest = loads(&sign_in).map_err(TestCaseError::fail)?;
        prop_assert_eq!(&manifest.network.hosts, &["mcp.a.example".to_owned()]);
        prop_assert!(manifest.network.local.is_empty() && manifest.network.domains.is_empty());
        let used = &manifest.credentials["token"];
        prop_assert_eq!(&used.hosts, &["mcp.a.example".to_owned()]);
        prop_assert_eq!(used.server.token_url.as_ref(), Some(&sign_in.token_url));
        prop_assert_eq!(used.server.scopes.last().map(String::as_str), Some("read"));
    }
}
