//! What `credential.rs` promises, each promise a test.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn owner(user: Option<&str>, app: &str) -> Owner {
    Owner {
        user: user.map(|user| UserId::parse(user).unwrap()),
        app: AppId::parse(app).unwrap(),
        name: "key".into(),
    }
}

fn key(value: &str) -> Credential {
    Credential::ApiKey { value: Secret::new(value.into()) }
}

#[test]
fn what_is_stored_is_read_again_and_not_legible_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let stored = Sealed::open(folder.path(), None).unwrap();
    stored.change(|all| _ = all.insert(owner(Some("ann"), "mail"), key("planted-secret-7"))).unwrap();
    let again = Sealed::open(folder.path(), None).unwrap();
    assert_eq!(again.read().unwrap().get(&owner(Some("ann"), "mail")), Some(&key("planted-secret-7")));
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0, "{path:?}");
        let bytes = fs::read(&path).unwrap();
        assert!(memchr::memmem::find(&bytes, b"planted-secret-7").is_none(), "{path:?}");
        assert!(memchr::memmem::find(&bytes, b"mail").is_none(), "{path:?}");
    }
}

#[test]
fn a_change_by_another_process_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) =
        (Sealed::open(folder.path(), None).unwrap(), Sealed::open(folder.path(), None).unwrap());
    assert!(one.read().unwrap().is_empty());
    other.change(|all| _ = all.insert(owner(None, "mail"), key("a"))).unwrap();
    assert_eq!(one.read().unwrap().len(), 1);
    one.change(|all| _ = all.insert(owner(None, "drive"), key("b"))).unwrap();
    assert_eq!(other.read().unwrap().len(), 2);
}

#[test]
fn another_key_or_a_changed_file_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let given = |digit: &str| Secret::new(digit.repeat(64));
    let stored = Sealed::open(folder.path(), Some(&given("a"))).unwrap();
    stored.change(|all| _ = all.insert(owner(None, "mail"), key("a"))).unwrap();
    assert!(Sealed::open(folder.path(), Some(&given("a"))).is_ok());
    assert!(matches!(Sealed::open(folder.path(), Some(&given("b"))), Err(SealError::Seal(_))));
    assert!(matches!(Sealed::open(folder.path(), Some(&given("x"))), Err(SealError::Key(KeyError::Form))));
    let path = folder.path().join("credentials.sealed");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(stored.read(), Err(SealError::Seal(_))));
    fs::write(&path, b"short").unwrap();
    assert!(matches!(stored.read(), Err(SealError::Form(_))));
}

#[test]
fn a_key_that_others_may_read_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    drop(Sealed::open(folder.path(), None).unwrap());
    fs::set_permissions(folder.path().join("key"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(Sealed::open(folder.path(), None), Err(SealError::Key(KeyError::Open(_)))));
}

#[test]
fn a_users_own_goes_before_the_one_for_everybody_and_never_to_another_user() {
    let folder = tempfile::tempdir().unwrap();
    let credentials = Credentials::open(folder.path(), None).unwrap();
    credentials
        .sealed()
        .change(|all| {
            all.insert(owner(Some("ann"), "mail"), key("of-ann"));
            all.insert(owner(None, "drive"), key("of-all"));
            all.insert(owner(Some("ann"), "drive"), key("of-ann-too"));
        })
        .unwrap();
    let found = |user: Option<&str>, app: &str| {
        let user = user.map(|user| UserId::parse(user).unwrap());
        credentials.find(&AppId::parse(app).unwrap(), user.as_ref(), "key").unwrap().map(|(_, found)| found)
    };
    assert_eq!(found(Some("ann"), "mail"), Some(key("of-ann")));
    assert_eq!(found(Some("bob"), "mail"), None);
    assert_eq!(found(None, "mail"), None);
    assert_eq!(found(Some("ann"), "drive"), Some(key("of-ann-too")));
    assert_eq!(found(Some("bob"), "drive"), Some(key("of-all")));
    assert_eq!(found(Some("ann"), "quick_ride"), None);
}

#[test]
fn a_token_is_renewed_before_its_end_and_when_it_was_refused() {
    let token = |expires| Oauth2 {
        access: Some(Secret::new("a".into())),
        expires,
        refresh: None,
        token_url: "https://auth.example.com/token".into(),
        client_id: "c".into(),
        client_secret: None,
        resource: None,
    };
    assert!(usable(&token(None), &Freshness::Usual).is_some());
    assert!(usable(&token(Some(now() + 3600)), &Freshness::Usual).is_some());
    assert!(usable(&token(Some(now() + 30)), &Freshness::Usual).is_none());
    assert!(usable(&token(None), &Freshness::Refused(Secret::new("a".into()))).is_none());
    assert!(usable(&token(None), &Freshness::Refused(Secret::new("older".into()))).is_some());
}

#[test]
fn nothing_of_a_credential_is_printed() {
    assert!(!format!("{:?}", key("planted-secret-7")).contains("planted"));
}
