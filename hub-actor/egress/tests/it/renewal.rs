//! A token stays good, over TLS, whatever clocks say; and one that is revoked says what to do. I-13, I-15.

use std::collections::BTreeMap;
use std::path::Path;

use bus::id::AppId;
use bus::message::egress::{WebError, WebFailure};
use bus::secret::Secret;
use egress_gateway::app_rules::AppRules;
use egress_gateway::credential::{Credential, Credentials, Oauth2, Owner};
use egress_gateway::fetch::Web;
use egress_gateway::limit::STANDARD;
use manifest::{CredentialKind, CredentialUse, OauthServer};
use system_tests::web_server::authorization::{
    ACCESS, AuthorizationServer, CLIENT, Manner, REFRESH, RESOURCE, SECRET,
};

use crate::bus::{Spoke, Stage, request};
use crate::server::{Authority, Server, answer, names, rules};

/// An API that takes the newest token only, and the server that gives it out.
struct Scene {
    authority: Authority,
    api: Server,
    auth: AuthorizationServer,
    folder: tempfile::TempDir,
}

fn owner() -> Owner {
    Owner { user: None, app: AppId::parse("mail").unwrap(), name: "google".into() }
}

impl Scene {
    async fn new() -> Self {
        let authority = Authority::new();
        let auth = AuthorizationServer::new(
            &authority,
            Manner { resource: Some(RESOURCE.into()), ..Manner::default() },
        )
        .await;
        let manner = std::sync::Arc::clone(&auth.manner);
        let api = Server::tls(&authority, &["127.0.0.1"], move |seen| {
            let good = format!("Bearer {ACCESS}-{}", manner.lock().unwrap().given);
            // Its clock is years behind, as those of small machines are.
            let date = [("Date", "Thu, 01 Jan 2015 00:00:00 GMT")];
            match seen.header("authorization") == Some(good.as_str()) {
                true => answer("200 OK", &date, "welcome"),
                false => answer("401 Unauthorized", &date, "who are you?"),
            }
        })
        .await;
        Self { authority, api, auth, folder: tempfile::tempdir().unwrap() }
    }

    /// A spoke of the app, whose user's token is this.
    async fn spoke(&self, access: &str, expires: Option<u64>, token_url: Option<String>) -> (Stage, Spoke) {
        let address = self.api.address;
        let used = CredentialUse {
            kind: CredentialKind::Oauth2,
            header: "Authorization".into(),
            hosts: vec![address.to_string()],
            prefix: None,
            server: OauthServer { token_url, ..OauthServer::default() },
        };
        let app = AppRules {
            rules: rules(&[], &[address, self.auth.server.address]),
            credentials: BTreeMap::from([("google".to_owned(), used)]),
        };
        let token = Oauth2 {
            access: Some(Secret::new(access.into())),
            expires,
            refresh: Some(Secret::new(format!("{REFRESH}-0"))),
            token_url: self.auth.url("/token"),
            client_id: CLIENT.into(),
            client_secret: Some(Secret::new(SECRET.into())),
            resource: Some(RESOURCE.into()),
        };
        let credentials = Credentials::open(self.folder.path(), None).unwrap();
        credentials.sealed().change(|all| _ = all.insert(owner(), Credential::Oauth2(token))).unwrap();
        let web = Web::new(names(&[]), self.authority.trusted(), STANDARD);
        let stage = Stage::with(app, web, credentials).await;
        let spoke = stage.spoke("mail", "a1").await;
        (stage, spoke)
    }

    async fn get(&self, spoke: &Spoke) -> Result<String, WebFailure> {
        let fetched = spoke.fetch(request("GET", &format!("https://{}/", self.api.address))).await?;
        Ok(String::from_utf8(fetched.body).unwrap())
    }
}

fn kept(folder: &Path) -> Oauth2 {
    let all = Credentials::open(folder, None).unwrap().sealed().read().unwrap();
    let Some(Credential::Oauth2(token)) = all.get(&owner()) else { panic!("it is gone") };
    token.clone()
}

#[tokio::test]
async fn an_expired_token_is_renewed_and_a_revoked_one_ends_in_a_sentence() {
    let scene = Scene::new().await;
    let (_stage, spoke) = scene.spoke("too-old", Some(1), Some(scene.auth.url("/token"))).await;
    assert_eq!(scene.get(&spoke).await.unwrap(), "welcome");
    let token = kept(scene.folder.path());
    assert_eq!(token.refresh, Some(Secret::new(format!("{REFRESH}-1"))), "the new one is kept");
    assert_eq!((scene.api.count(), scene.auth.asked("/token")), (1, 1));
    // The person takes the leave back at the service.
    {
        let mut manner = scene.auth.manner.lock().unwrap();
        manner.revoked.insert(format!("{REFRESH}-1"));
        manner.given += 1;
    }
    let failure = scene.get(&spoke).await.unwrap_err();
    assert_eq!(failure.code, WebError::Credential);
    assert_eq!(
        failure.detail,
        "the credential google was revoked or has expired; run `secgpt apps authorize mail`"
    );
}

#[tokio::test]
async fn a_clock_that_is_wrong_costs_a_renewal_and_no_request() {
    let far = 4_000_000_000;
    // This machine's clock was decades ahead when the token came; it was years behind and is right now; or it was never
    // told. The service's own clock, in its answers, is believed in none of them.
    for (expires, renewals) in [(Some(far), 1), (Some(1), 1), (None, 1)] {
        let scene = Scene::new().await;
        let (_stage, spoke) = scene.spoke("no-longer-good", expires, None).await;
        assert_eq!(scene.get(&spoke).await.unwrap(), "welcome", "{expires:?}");
        assert_eq!(scene.auth.asked("/token"), renewals, "{expires:?}");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let good_for = kept(scene.folder.path()).expires.unwrap() - now;
        assert!((3500..=3600).contains(&good_for), "by this machine's clock: {good_for}");
        assert_eq!(scene.get(&spoke).await.unwrap(), "welcome");
        assert_eq!(scene.auth.asked("/token"), renewals, "and it is used again");
    }
}

#[tokio::test]
async fn a_token_of_another_server_than_the_manifest_names_is_not_sent_anywhere() {
    let scene = Scene::new().await;
    let other = Some("https://other.example.com/token".to_owned());
    let (_stage, spoke) = scene.spoke("good", None, other).await;
    let failure = scene.get(&spoke).await.unwrap_err();
    assert_eq!(failure.code, WebError::Credential);
    assert!(
        failure.detail.contains("another server") && failure.detail.contains("secgpt apps authorize mail")
    );
    assert_eq!((scene.api.count(), scene.auth.server.count()), (0, 0));
}

#[tokio::test]
async fn garbage_in_the_place_of_a_renewed_token_keeps_the_old_one() {
    let scene = Scene::new().await;
    let (_stage, spoke) = scene.spoke("too-old", Some(1), None).await;
    for (status, text) in [("200 OK", "<html>"), ("503 Busy", ""), ("200 OK", "{\"access_token\":\"a\\nb\"}")]
    {
        scene.auth.manner.lock().unwrap().token_answer = Some((status, text));
        let failure = scene.get(&spoke).await.unwrap_err();
        assert!(failure.detail.starts_with("the token cannot be renewed: "), "{failure:?}");
        assert_eq!(kept(scene.folder.path()).refresh, Some(Secret::new(format!("{REFRESH}-0"))));
    }
    assert_eq!(scene.api.count(), 0);
    scene.auth.manner.lock().unwrap().token_answer = None;
    assert_eq!(scene.get(&spoke).await.unwrap(), "welcome", "the control");
}
