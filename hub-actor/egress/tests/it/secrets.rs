//! Who gets to see a credential, and who does not. I-15.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bus::acl::Role;
use bus::id::{AppId, SpokeAddr, UserId};
use bus::message::egress::{SpokeUser, SpokeUserSet, WebError};
use bus::secret::Secret;
use bus::subject::{Op, Service, Subject};
use egress_gateway::app_rules::AppRules;
use egress_gateway::credential::{Credential, Credentials, Oauth2, Owner};
use egress_gateway::fetch::Web;
use egress_gateway::limit::STANDARD;
use manifest::{CredentialKind, CredentialUse, OauthServer};

use crate::bus::{Stage, WAIT, request, spoke};
use crate::server::{Act, Authority, Server, answer, names, ok, redirect, rules};

const PLANTED: &str = "planted-secret-4711";

fn owner(user: Option<&str>) -> Owner {
    Owner {
        user: user.map(|user| UserId::parse(user).unwrap()),
        app: AppId::parse("mail").unwrap(),
        name: "key".into(),
    }
}

fn used(kind: CredentialKind, header: &str, hosts: &[String]) -> BTreeMap<String, CredentialUse> {
    let used = CredentialUse {
        kind,
        header: header.into(),
        hosts: hosts.to_vec(),
        prefix: None,
        server: OauthServer::default(),
    };
    BTreeMap::from([("key".to_owned(), used)])
}

fn stored(folder: &Path, owner: Owner, credential: Credential) -> Credentials {
    let credentials = Credentials::open(folder, None).unwrap();
    credentials.sealed().change(|all| _ = all.insert(owner, credential)).unwrap();
    credentials
}

fn api_key() -> Credential {
    Credential::ApiKey { value: Secret::new(PLANTED.into()) }
}

async fn works_for(stage: &Stage, spoke: &SpokeAddr, user: Option<&str>) {
    let hub = stage.nats.bus(&Role::Hub).await;
    let subject = Subject::HubOut { service: Service::Egress, op: Op::RULES };
    let user = user.map(|user| UserId::parse(user).unwrap());
    let _: SpokeUserSet =
        hub.request(&subject, &SpokeUser { spoke: spoke.clone(), user }, None, WAIT).await.unwrap();
}

#[tokio::test]
async fn a_users_credential_goes_with_that_users_spoke_only() {
    let server = Server::plain(|_| ok("hello")).await;
    let other = Server::plain(|_| ok("hello")).await;
    let folder = tempfile::tempdir().unwrap();
    let app = AppRules {
        rules: rules(&[], &[server.address, other.address]),
        credentials: used(CredentialKind::ApiKey, "X-Api-Key", &[server.address.to_string()]),
    };
    let web = Web::new(names(&[]), egress_gateway::fetch::trust(None).unwrap(), STANDARD);
    let stage = Stage::with(app, web, stored(folder.path(), owner(Some("ann")), api_key())).await;
    let (anns, bobs, nobodys) =
        (stage.spoke("mail", "a1").await, stage.spoke("mail", "b1").await, stage.spoke("mail", "n1").await);
    works_for(&stage, &spoke("mail", "a1"), Some("ann")).await;
    works_for(&stage, &spoke("mail", "b1"), Some("bob")).await;
    let (url, elsewhere) = (format!("http://{}/", server.address), format!("http://{}/", other.address));
    for (who, expected) in [(&anns, Some(PLANTED)), (&bobs, None), (&nobodys, None)] {
        who.fetch(request("GET", &url)).await.unwrap();
        assert_eq!(server.last().header("x-api-key"), expected, "{}", who.spoke);
    }
    anns.fetch(request("GET", &elsewhere)).await.unwrap();
    assert_eq!(other.last().header("x-api-key"), None, "it is not for that host");
    // An app that sends the header itself does not keep the gateway from sending the right one.
    let mut own = request("GET", &url);
    own.headers.push(("X-API-Key".into(), "of the app".into()));
    anns.fetch(own).await.unwrap();
    assert_eq!(server.last().header("x-api-key"), Some(PLANTED));
    // The spoke has ended; whoever comes after it under this name has no user.
    works_for(&stage, &spoke("mail", "a1"), None).await;
    anns.fetch(request("GET", &url)).await.unwrap();
    assert_eq!(server.last().header("x-api-key"), None);
}

#[tokio::test]
async fn a_credential_goes_by_tls_to_its_domain_and_not_in_the_clear_or_after_a_redirect() {
    let authority = Authority::new();
    let thief = Server::tls(&authority, &["files.example.com"], |_| ok("the thief")).await;
    let to = format!("https://files.example.com:{}/", thief.port());
    let server = Server::tls(&authority, &["api.example.com"], move |seen| match seen.path() {
        "/away" => redirect(302, &to),
        _ => ok("hello"),
    })
    .await;
    let clear = Server::plain(|_| ok("in the clear")).await;
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let known = names(&[("api.example.com", here), ("files.example.com", here)]);
    let hosts = [
        format!("api.example.com:{}", server.port()),
        format!("files.example.com:{}", thief.port()),
        format!("api.example.com:{}", clear.port()),
    ];
    let folder = tempfile::tempdir().unwrap();
    let app = AppRules {
        rules: rules(&hosts, &[server.address, thief.address, clear.address]),
        credentials: used(CredentialKind::ApiKey, "Authorization", &["example.com".to_owned()]),
    };
    let web = Web::new(known, authority.trusted(), STANDARD);
    let stage = Stage::with(app, web, stored(folder.path(), owner(None), api_key())).await;
    let spoke = stage.spoke("mail", "a1").await;
    spoke.fetch(request("GET", &format!("https://{}/", hosts[0]))).await.unwrap();
    assert_eq!(server.last().header("authorization"), Some(PLANTED), "the control");
    let fetched = spoke.fetch(request("GET", &format!("https://{}/away", hosts[0]))).await.unwrap();
    assert_eq!(
        (fetched.body.as_slice(), thief.last().header("authorization")),
        (b"the thief".as_slice(), None)
    );
    spoke.fetch(request("GET", &format!("https://{}/", hosts[1]))).await.unwrap();
    assert_eq!(
        thief.last().header("authorization"),
        Some(PLANTED),
        "the control: asked itself, it is of the domain"
    );
    spoke.fetch(request("GET", &format!("http://{}/", hosts[2]))).await.unwrap();
    assert_eq!(clear.last().header("authorization"), None);
}

#[tokio::test]
async fn a_server_that_sends_the_credential_back_does_not_show_it_to_the_app() {
    let server = Server::plain(|seen| {
        let key = seen.header("authorization").unwrap_or_default().to_owned();
        let (one, two) = key.split_at(key.len() / 2);
        let body = format!("you sent {one}");
        vec![
            Act::Send(
                format!(
                    "HTTP/1.1 200 OK\r\nX-Echo: {key}\r\nContent-Length: {}\r\n\r\n{body}",
                    9 + key.len()
                )
                .into_bytes(),
            ),
            Act::Pause(Duration::from_millis(100)),
            Act::Send(two.as_bytes().to_vec()),
        ]
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let app = AppRules {
        rules: rules(&[], &[server.address]),
        credentials: used(CredentialKind::ApiKey, "Authorization", &[server.address.to_string()]),
    };
    let credential = Credential::ApiKey { value: Secret::new(format!("Token {PLANTED}")) };
    let web = Web::new(names(&[]), egress_gateway::fetch::trust(None).unwrap(), STANDARD);
    let stage = Stage::with(app, web, stored(folder.path(), owner(None), credential)).await;
    let spoke = stage.spoke("mail", "a1").await;
    let fetched = spoke.fetch(request("GET", &format!("http://{}/", server.address))).await.unwrap();
    assert_eq!(
        server.last().header("authorization"),
        Some(format!("Token {PLANTED}").as_str()),
        "the control"
    );
    let body = String::from_utf8(fetched.body).unwrap();
    assert_eq!(body, format!("you sent {}", "*".repeat(6 + PLANTED.len())));
    assert!(!format!("{:?}", fetched.headers).contains(PLANTED));
}

/// A server that knows one token, and the one that gives it out.
struct Renewing {
    api: Server,
    auth: Server,
    good: Arc<AtomicU32>,
}

impl Renewing {
    async fn new() -> Self {
        let good = Arc::new(AtomicU32::new(1));
        let (for_api, for_auth) = (Arc::clone(&good), Arc::clone(&good));
        let api = Server::plain(move |seen| {
            let good = format!("Bearer access-token-{}", for_api.load(Ordering::SeqCst));
            match seen.header("authorization") == Some(good.as_str()) {
                true => ok("welcome"),
                false => answer("401 Unauthorized", &[], "who are you?"),
            }
        })
        .await;
        let auth = Server::plain(move |seen| {
            let body = String::from_utf8_lossy(&seen.body).into_owned();
            if !body.contains("grant_type=refresh_token") || !body.contains("refresh_token=refresh-") {
                return answer("400 Bad Request", &[], r#"{"error":"invalid_request"}"#);
            }
            match for_auth.load(Ordering::SeqCst) {
                0 => answer("400 Bad Request", &[], r#"{"error":"invalid_grant"}"#),
                99 => redirect(307, "/elsewhere"),
                number => ok(&format!(
                    r#"{{"access_token":"access-token-{number}","expires_in":3600,"refresh_token":"refresh-{number}","token_type":"Bearer"}}"#
                )),
            }
        })
        .await;
        Self { api, auth, good }
    }

    async fn stage(&self, folder: &Path, access: Option<&str>, expires: Option<u64>) -> Stage {
        let app = AppRules {
            rules: rules(&[], &[self.api.address, self.auth.address]),
            credentials: used(CredentialKind::Oauth2, "Authorization", &[self.api.address.to_string()]),
        };
        let token = Oauth2 {
            access: access.map(|text| Secret::new(text.into())),
            expires,
            refresh: Some(Secret::new("refresh-0".into())),
            token_url: format!("http://{}/token", self.auth.address),
            client_id: "secgpt".into(),
            client_secret: Some(Secret::new("client-secret".into())),
            resource: None,
        };
        let web = Web::new(names(&[]), egress_gateway::fetch::trust(None).unwrap(), STANDARD);
        Stage::with(app, web, stored(folder, owner(None), Credential::Oauth2(token))).await
    }

    fn url(&self) -> String {
        format!("http://{}/", self.api.address)
    }
}

#[tokio::test]
async fn an_expired_token_is_renewed_once_for_all_who_wait_and_kept() {
    let servers = Renewing::new().await;
    let folder = tempfile::tempdir().unwrap();
    let stage = servers.stage(folder.path(), Some("old-token"), Some(1)).await;
    let spoke = stage.spoke("mail", "a1").await;
    let ask = || spoke.fetch(request("GET", &servers.url()));
    let (one, two, three) = tokio::join!(ask(), ask(), ask());
    for fetched in [one, two, three] {
        assert_eq!(fetched.unwrap().body, b"welcome");
    }
    assert_eq!(servers.auth.count(), 1, "one renewal for three requests");
    let body = String::from_utf8(servers.auth.last().body).unwrap();
    assert_eq!(
        body,
        "grant_type=refresh_token&refresh_token=refresh-0&client_id=secgpt&client_secret=client-secret"
    );
    let kept = Credentials::open(folder.path(), None).unwrap().sealed().read().unwrap();
    let Some(Credential::Oauth2(token)) = kept.get(&owner(None)) else { panic!("it is gone") };
    assert_eq!(token.refresh, Some(Secret::new("refresh-1".into())), "the server gave a new one");
}

#[tokio::test]
async fn a_token_that_the_server_refuses_is_renewed_once() {
    let servers = Renewing::new().await;
    let folder = tempfile::tempdir().unwrap();
    let stage = servers.stage(folder.path(), Some("revoked-token"), None).await;
    let spoke = stage.spoke("mail", "a1").await;
    assert_eq!(spoke.fetch(request("GET", &servers.url())).await.unwrap().body, b"welcome");
    assert_eq!((servers.api.count(), servers.auth.count()), (2, 1));
    // And again, when that one is refused in its turn.
    servers.good.store(7, Ordering::SeqCst);
    assert_eq!(spoke.fetch(request("GET", &servers.url())).await.unwrap().body, b"welcome");
    assert_eq!((servers.api.count(), servers.auth.count()), (4, 2));
}

#[tokio::test]
async fn a_token_that_cannot_be_renewed_says_what_to_do() {
    let servers = Renewing::new().await;
    let folder = tempfile::tempdir().unwrap();
    let stage = servers.stage(folder.path(), None, None).await;
    let spoke = stage.spoke("mail", "a1").await;
    servers.good.store(0, Ordering::SeqCst);
    let failure = spoke.fetch(request("GET", &servers.url())).await.err().unwrap();
    assert_eq!(failure.code, WebError::Credential);
    assert!(failure.detail.contains("secgpt apps authorize mail"), "{failure}");
    // One that sends the refresh token's bearer elsewhere is not followed.
    servers.good.store(99, Ordering::SeqCst);
    let before = servers.auth.count();
    assert!(spoke.fetch(request("GET", &servers.url())).await.is_err());
    assert_eq!(servers.auth.count() - before, 1);
    assert_eq!(servers.api.count(), 0);
    servers.good.store(3, Ordering::SeqCst);
    assert_eq!(spoke.fetch(request("GET", &servers.url())).await.unwrap().body, b"welcome", "the control");
}
