//! A person gives an app leave: both flows, against a server as strict as a real one, and against wicked ones. I-13, I-15.

use std::time::{Duration, Instant};

use bus::id::AppId;
use bus::launch::authorize::{Client, Said};
use bus::secret::Secret;
use egress_gateway::authorize::{AuthorizeError, How, Pace, authorize};
use egress_gateway::credential::Oauth2;
use egress_gateway::fetch::Web;
use egress_gateway::limit::STANDARD;
use manifest::{CredentialKind, CredentialUse, OauthServer};
use system_tests::web_server::authorization::{
    ACCESS, AuthorizationServer, CLIENT, Manner, REFRESH, RESOURCE, SECRET,
};
use tokio::sync::mpsc;

use crate::server::{Authority, names};

/// A second of the server's is a hundredth here; a person is given two.
const FAST: Pace = Pace { second: Duration::from_millis(10), person: Duration::from_secs(2) };

struct Scene {
    authority: Authority,
    server: AuthorizationServer,
}

impl Scene {
    async fn new(mut manner: Manner) -> Self {
        let authority = Authority::new();
        // Whoever forgets to say for which service a token is gets none.
        manner.resource = Some(RESOURCE.to_owned());
        let server = AuthorizationServer::new(&authority, manner).await;
        Self { authority, server }
    }

    fn used(&self) -> CredentialUse {
        CredentialUse {
            kind: CredentialKind::Oauth2,
            header: "Authorization".into(),
            hosts: vec!["api.example.com".into()],
            prefix: None,
            server: OauthServer {
                authorize_url: Some(self.server.url("/authorize?access_type=offline")),
                device_url: Some(self.server.url("/device")),
                token_url: Some(self.server.url("/token")),
                registration_url: None,
                resource: Some(RESOURCE.into()),
                client_id: Some(CLIENT.into()),
                scopes: vec!["read".into(), "write".into()],
            },
        }
    }

    async fn ask(&self, how: How, tell: impl FnMut(Said)) -> Result<Oauth2, AuthorizeError> {
        self.ask_with(&self.used(), how, FAST, tell).await
    }

    async fn ask_with(
        &self,
        used: &CredentialUse,
        how: How,
        pace: Pace,
        mut tell: impl FnMut(Said),
    ) -> Result<Oauth2, AuthorizeError> {
        let web = Web::new(names(&[]), self.authority.trusted(), STANDARD);
        let app = AppId::parse("mail").unwrap();
        let secret = used.server.client_id.is_some().then(|| Secret::new(SECRET.into()));
        let client = Client { id: None, secret };
        let local = [self.server.server.address];
        authorize(&web, &app, &local, ("google", used), client, (how, pace), &mut tell).await
    }

    /// The person's browser: goes where it is sent, redirects included.
    fn browser(&self) -> reqwest::Client {
        reqwest::Client::builder()
            .tls_backend_preconfigured(self.authority.trusted())
            .no_proxy()
            .build()
            .unwrap()
    }

    /// The flow by a browser, with a person who does `act` with the URL.
    async fn by_browser<F: Future<Output = ()>>(
        &self,
        act: impl FnOnce(String) -> F,
    ) -> Result<Oauth2, AuthorizeError> {
        self.by_browser_with(&self.used(), act).await
    }

    async fn by_browser_with<F: Future<Output = ()>>(
        &self,
        used: &CredentialUse,
        act: impl FnOnce(String) -> F,
    ) -> Result<Oauth2, AuthorizeError> {
        let (opened, mut open) = mpsc::unbounded_channel();
        let flow = self.ask_with(used, How::Redirect, FAST, move |said| {
            let Said::Open { url } = said else { panic!("{said:?}") };
            opened.send(url).unwrap();
        });
        let person = async {
            if let Some(url) = open.recv().await {
                act(url).await;
            }
        };
        tokio::join!(flow, person).0
    }
}

fn query(url: &str, name: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    url.query_pairs().find(|(own, _)| own == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

#[tokio::test]
async fn a_browser_brings_a_code_that_becomes_a_token() {
    let scene = Scene::new(Manner::default()).await;
    let browser = scene.browser();
    let token = scene
        .by_browser(async |url| {
            assert_eq!(query(&url, "access_type"), "offline", "what the manifest wrote stays");
            assert_eq!(query(&url, "scope"), "read write");
            assert_eq!(query(&url, "resource"), RESOURCE);
            assert!(43 <= query(&url, "state").len() && 43 <= query(&url, "code_challenge").len());
            let answer = browser.get(url).send().await.unwrap();
            assert_eq!(answer.headers()["content-security-policy"], "default-src 'none'");
            let text = answer.text().await.unwrap();
            assert!(text.contains("Leave was given") && !text.contains("code-1"), "{text}");
        })
        .await
        .unwrap();
    assert_eq!(token.access, Some(Secret::new(format!("{ACCESS}-1"))));
    assert_eq!(token.refresh, Some(Secret::new(format!("{REFRESH}-1"))));
    assert!(token.expires.is_some());
    assert_eq!((token.client_id.as_str(), token.token_url), (CLIENT, scene.server.url("/token")));
    assert_eq!(token.resource.as_deref(), Some(RESOURCE), "it is told again when the token is renewed");
    assert_eq!(scene.server.asked("/register"), 0, "whoever is named is not registered");
}

#[tokio::test]
async fn whom_nobody_registered_is_registered_for_each_leave() {
    let scene = Scene::new(Manner::default()).await;
    let browser = scene.browser();
    let mut used = scene.used();
    used.server.client_id = None;
    used.server.registration_url = Some(scene.server.url("/register"));
    let token =
        scene.by_browser_with(&used, async |url| _ = browser.get(url).send().await.unwrap()).await.unwrap();
    assert_eq!((token.client_id.as_str(), &token.client_secret), ("registered-1", &None));
    let token = scene.ask_with(&used, How::Device, FAST, |_| ()).await.unwrap();
    assert_eq!(token.client_id, "registered-2");
    let said = scene.server.manner.lock().unwrap().registered.clone();
    assert_eq!(said["registered-1"]["token_endpoint_auth_method"], "none");
    assert_eq!(said["registered-1"]["grant_types"][0], "authorization_code");
    assert!(said["registered-1"]["redirect_uris"][0].as_str().unwrap().starts_with("http://127.0.0.1:"));
    assert!(said["registered-2"]["redirect_uris"].is_null(), "no browser comes back to a device");
    // A server that takes nobody: no person is sent anywhere.
    scene.server.manner.lock().unwrap().register_answer =
        Some(("403 No", r#"{"error":"access_denied","error_description":"call 555-1234"}"#));
    let error = scene.ask_with(&used, How::Redirect, FAST, |said| panic!("{said:?}")).await.unwrap_err();
    assert!(error.to_string().contains("answers access_denied"), "{error}");
    assert!(error.hint().unwrap().contains("--client-id"));
    // A client's secret without the client is no reason to make another one.
    let web = Web::new(names(&[]), scene.authority.trusted(), STANDARD);
    let app = AppId::parse("mail").unwrap();
    let client = Client { id: None, secret: Some(Secret::new(SECRET.into())) };
    let asked = scene.server.server.count();
    let mut silent = |_| ();
    let error = authorize(&web, &app, &[], ("google", &used), client, (How::Device, FAST), &mut silent).await;
    assert!(matches!(error, Err(AuthorizeError::Missing { missing: "client_id", .. })), "{error:?}");
    assert_eq!(scene.server.server.count(), asked);
}

#[tokio::test]
async fn a_token_is_asked_for_one_service_and_no_other() {
    let scene = Scene::new(Manner::default()).await;
    for resource in [None, Some("https://elsewhere.example.com/mcp".to_owned())] {
        let mut used = scene.used();
        used.server.resource = resource;
        let asked = scene.ask_with(&used, How::Device, FAST, |_| ()).await;
        assert!(
            matches!(&asked, Err(AuthorizeError::Refused(word)) if word == "invalid_target"),
            "{asked:?}"
        );
    }
    assert!(scene.ask(How::Device, |_| ()).await.is_ok(), "the control");
}

#[tokio::test]
async fn what_comes_back_with_another_state_is_not_exchanged() {
    let scene = Scene::new(Manner { other_state: true, ..Manner::default() }).await;
    let browser = scene.browser();
    let asked = scene
        .by_browser(async |url| {
            let text = browser.get(url).send().await.unwrap().text().await.unwrap();
            assert!(text.contains("Nothing was stored"), "{text}");
        })
        .await;
    assert!(matches!(asked, Err(AuthorizeError::State)), "{asked:?}");
    assert_eq!(scene.server.asked("/token"), 0);
}

#[tokio::test]
async fn a_redirect_with_an_error_is_said_in_a_sentence() {
    let scene = Scene::new(Manner { denies: true, ..Manner::default() }).await;
    let browser = scene.browser();
    let asked = scene.by_browser(async |url| _ = browser.get(url).send().await.unwrap()).await;
    assert!(matches!(asked, Err(AuthorizeError::Denied)), "{asked:?}");
    assert_eq!(scene.server.asked("/token"), 0);
}

#[tokio::test]
async fn only_the_first_request_for_the_callback_counts_and_no_other_page_disturbs_it() {
    let scene = Scene::new(Manner::default()).await;
    let browser = scene.browser();
    let token = scene
        .by_browser(async |url| {
            let back = query(&url, "redirect_uri");
            let base = back.trim_end_matches("/callback").to_owned();
            // As browsers do: a connection for later, an icon, and a page of somebody else's under another name.
            let idle = tokio::net::TcpStream::connect(base.trim_start_matches("http://")).await.unwrap();
            for path in ["/favicon.ico", "/", "/callback/", "/Callback?state=x&code=y"] {
                assert_eq!(
                    browser.get(format!("{base}{path}")).send().await.unwrap().status(),
                    404,
                    "{path}"
                );
            }
            let foreign = browser.get(&back).header("host", "evil.example.org").send().await.unwrap();
            assert_eq!(foreign.status(), 404);
            assert_eq!(browser.post(&back).send().await.unwrap().status(), 404);
            let _ = browser.get(&url).send().await.unwrap();
            assert!(browser.get(&back).send().await.is_err(), "it listens no more");
            drop(idle);
        })
        .await;
    assert!(token.is_ok(), "{token:?}");
}

#[tokio::test]
async fn nobody_is_waited_for_for_ever() {
    let scene = Scene::new(Manner::default()).await;
    let began = Instant::now();
    let asked = scene.by_browser(async |_| ()).await;
    assert!(matches!(asked, Err(AuthorizeError::TooLate)), "{asked:?}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_code_for_another_proof_is_refused_by_the_server() {
    let scene = Scene::new(Manner::default()).await;
    let browser = scene.browser();
    let asked = scene
        .by_browser(async |url| {
            // Somebody else's question, for whose code this program has no proof.
            let other = url.replace(&query(&url, "code_challenge"), &"x".repeat(43));
            let _ = browser.get(other).send().await.unwrap();
        })
        .await;
    assert!(matches!(&asked, Err(AuthorizeError::Refused(word)) if word == "invalid_grant"), "{asked:?}");
}

#[tokio::test]
async fn a_device_waits_as_long_and_as_slowly_as_the_server_wants() {
    let words = vec!["authorization_pending", "slow_down", "authorization_pending"];
    let scene = Scene::new(Manner { words, ..Manner::default() }).await;
    let mut said = Vec::new();
    let began = Instant::now();
    let token = scene.ask(How::Device, |heard| said.push(heard)).await.unwrap();
    // 1 + 1 + (1+5) + (1+5) of the server's seconds.
    assert!(Duration::from_millis(140) <= began.elapsed(), "{:?}", began.elapsed());
    assert_eq!(scene.server.asked("/token"), 4);
    assert_eq!(token.access, Some(Secret::new(format!("{ACCESS}-1"))));
    let visit = Said::Visit {
        url: "https://example.com/device".into(),
        code: "WDJB-MJHT".into(),
        complete: Some("https://example.com/device?user_code=WDJB-MJHT".into()),
        seconds: 900,
    };
    assert_eq!(said, [visit]);
}

#[tokio::test]
async fn a_device_that_is_denied_or_too_late_is_told_so() {
    for (word, expected) in [
        ("access_denied", "it was refused at the authorization server"),
        ("expired_token", "nobody gave leave in time"),
        ("invalid_scope", "the authorization server answers invalid_scope"),
    ] {
        let words = vec!["authorization_pending", word];
        let scene = Scene::new(Manner { words, ..Manner::default() }).await;
        let error = scene.ask(How::Device, |_| ()).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(!error.to_string().contains("555"), "the server's own words stay with it");
    }
    // A code that nobody types ends by this machine's clock too, whatever the server goes on to say.
    let text = r#"{"device_code":"planted-device-code","user_code":"A","verification_uri":"https://example.com/","expires_in":5,"interval":1}"#;
    let manner = Manner {
        words: vec!["authorization_pending"; 100],
        device_answer: Some(text.into()),
        ..Manner::default()
    };
    let scene = Scene::new(manner).await;
    assert!(matches!(scene.ask(How::Device, |_| ()).await, Err(AuthorizeError::TooLate)));
    assert!(scene.server.asked("/token") <= 5, "{}", scene.server.asked("/token"));
}

#[tokio::test]
async fn garbage_in_the_place_of_a_token_ends_in_a_sentence() {
    for (status, text, expected) in [
        ("200 OK", "<html>", "no token in the form"),
        ("200 OK", "", "no token in the form"),
        ("200 OK", "[]", "no token in the form"),
        ("200 OK", "{}", "no token in the form"),
        ("200 OK", r#"{"access_token":5}"#, "no token in the form"),
        ("200 OK", r#"{"access_token":""}"#, "no header takes"),
        ("200 OK", "{\"access_token\":\"a\\r\\nHost: evil\"}", "no header takes"),
        ("200 OK", r#"{"access_token":"a b"}"#, "no header takes"),
        ("200 OK", r#"{"access_token":"ä"}"#, "no header takes"),
        ("200 OK", r#"{"access_token":"a","refresh_token":"b\n"}"#, "no header takes"),
        ("200 OK", r#"{"access_token":"a","token_type":"mac"}"#, "not sent as Bearer"),
        ("500 Oops", r#"{"access_token":"a"}"#, "500"),
        ("400 Bad", r#"{"error":"Please call 555-1234"}"#, "400, and no known word"),
        ("401 Who", r#"{"error":"invalid_client"}"#, "invalid_client"),
    ] {
        let scene = Scene::new(Manner { token_answer: Some((status, text)), ..Manner::default() }).await;
        let error = scene.ask(How::Device, |_| ()).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{text}: {error}");
        assert!(!error.to_string().contains("555"), "{error}");
    }
    let large = format!(r#"{{"access_token":"{}"}}"#, "a".repeat(70_000));
    let large: &'static str = Box::leak(large.into_boxed_str());
    let scene = Scene::new(Manner { token_answer: Some(("200 OK", large)), ..Manner::default() }).await;
    assert!(scene.ask(How::Device, |_| ()).await.unwrap_err().to_string().contains("larger than"));
    // What is odd and can be used is used.
    for text in [
        r#"{"access_token":"good","token_type":"BEARER","expires_in":"3600"}"#,
        r#"{"access_token":"good","expires_in":-5,"refresh_token":""}"#,
        r#"{"access_token":"good","expires_in":1e300}"#,
    ] {
        let scene = Scene::new(Manner { token_answer: Some(("200 OK", text)), ..Manner::default() }).await;
        let token = scene.ask(How::Device, |_| ()).await.unwrap();
        assert_eq!((token.access, token.refresh), (Some(Secret::new("good".into())), None), "{text}");
    }
}

#[tokio::test]
async fn garbage_in_the_place_of_a_device_code_is_not_shown_to_a_person() {
    let code = |code: &str, url: &str| {
        format!(r#"{{"device_code":"d","user_code":"{code}","verification_uri":"{url}","expires_in":900}}"#)
    };
    let good = "https://example.com/device";
    for text in [
        "no JSON".to_owned(),
        "{}".into(),
        code("", good),
        code("Your bank: call 555-1234 and say the code", good),
        code("\\u001b[2JABCD", good),
        code("ABCD", "http://example.com/device"),
        code("ABCD", "javascript:alert(1)"),
        code("ABCD", "https://example.com@evil.org/"),
        code("ABCD", "https://10.0.0.1/device"),
    ] {
        let scene = Scene::new(Manner { device_answer: Some(text.clone()), ..Manner::default() }).await;
        let asked = scene.ask(How::Device, |said| panic!("{said:?} for {text}")).await;
        assert!(matches!(asked, Err(AuthorizeError::Web(_))), "{text}: {asked:?}");
        assert_eq!(scene.server.asked("/token"), 0);
    }
    // A complete address of another site than the plain one is left out.
    let text = r#"{"device_code":"planted-device-code","user_code":"ABCD","verification_url":"https://example.com/device",
        "verification_uri_complete":"https://evil.org/device?user_code=ABCD","expires_in":900,"interval":1}"#;
    let scene = Scene::new(Manner { device_answer: Some(text.into()), ..Manner::default() }).await;
    let mut shown = Vec::new();
    scene.ask(How::Device, |said| shown.push(said)).await.unwrap();
    assert!(matches!(&shown[..], [Said::Visit { complete: None, .. }]), "{shown:?}");
}

#[tokio::test]
async fn a_server_that_redirects_does_not_get_the_code_sent_elsewhere() {
    let scene = Scene::new(Manner { redirects: true, ..Manner::default() }).await;
    let error = scene.ask(How::Device, |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("redirects"), "{error}");
    assert_eq!((scene.server.asked("/token"), scene.server.asked("/elsewhere")), (1, 0));
}

#[tokio::test]
async fn what_the_manifest_does_not_name_is_not_asked() {
    let scene = Scene::new(Manner::default()).await;
    let refused = async |change: &dyn Fn(&mut CredentialUse), how| {
        let mut used = scene.used();
        change(&mut used);
        scene.ask_with(&used, how, FAST, |said| panic!("{said:?}")).await.unwrap_err().to_string()
    };
    let missing = refused(&|used| used.server.token_url = None, How::Redirect).await;
    assert!(missing.contains("token_url is missing"), "{missing}");
    let missing = refused(&|used| used.server.device_url = None, How::Device).await;
    assert!(missing.contains("device_url is missing"), "{missing}");
    let missing = refused(&|used| used.server.authorize_url = None, How::Redirect).await;
    assert!(missing.contains("authorize_url is missing"), "{missing}");
    let missing = refused(&|used| used.server.client_id = None, How::Redirect).await;
    assert!(missing.contains("client_id is missing"), "{missing}");
    let key = refused(&|used| used.kind = CredentialKind::ApiKey, How::Redirect).await;
    assert!(key.contains("API key"), "{key}");
    for url in [
        "https://10.0.0.1/token",
        "http://example.com/token",
        "https://a@example.com/",
        "https://169.254.169.254/",
    ] {
        let refused = refused(&|used| used.server.token_url = Some(url.into()), How::Redirect).await;
        assert!(refused.contains("may not be asked") || refused.contains("not a URL"), "{url}: {refused}");
    }
    assert_eq!(scene.server.server.count(), 0);
    assert!(scene.ask(How::Device, |_| ()).await.is_ok(), "the control");
}

#[tokio::test]
async fn a_server_whose_name_leads_to_a_private_address_is_not_asked() {
    let scene = Scene::new(Manner::default()).await;
    let here = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    let web = Web::new(names(&[("auth.example.com", here)]), scene.authority.trusted(), STANDARD);
    let mut used = scene.used();
    let at = |path| Some(format!("https://auth.example.com:{}/{path}", scene.server.server.port()));
    (used.server.device_url, used.server.token_url) = (at("device"), at("token"));
    let app = AppId::parse("mail").unwrap();
    let error =
        authorize(&web, &app, &[], ("google", &used), Client::default(), (How::Device, FAST), &mut |_| ())
            .await
            .unwrap_err();
    assert!(error.to_string().contains("not a public one"), "{error}");
    assert_eq!(scene.server.server.count(), 0);
}

#[tokio::test]
async fn a_server_on_this_machine_is_asked_only_if_the_manifest_names_its_address() {
    let scene = Scene::new(Manner::default()).await;
    let web = Web::new(names(&[]), scene.authority.trusted(), STANDARD);
    let app = AppId::parse("mail").unwrap();
    let (used, own) = (scene.used(), scene.server.server.address);
    let next_port = std::net::SocketAddr::new(own.ip(), own.port().wrapping_add(1));
    for local in [&[][..], &[next_port]] {
        let client = Client { id: None, secret: Some(Secret::new(SECRET.into())) };
        let error =
            authorize(&web, &app, local, ("google", &used), client, (How::Device, FAST), &mut |_| ()).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("[network] does not name"), "{error}");
    }
    assert_eq!(scene.server.server.count(), 0);
    assert!(scene.ask(How::Device, |_| ()).await.is_ok(), "the control");
}
