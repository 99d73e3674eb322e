//! What this machine can enforce, as `secgpt doctor` will say it.

use crate::scene::{Scene, finish, users};
use jail::probe::{Feature, State};
use std::process::{Command, Stdio};

#[track_caller]
fn features(text: &str) -> Vec<Feature> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_machine_that_passes_the_other_tests_passes_the_doctors() {
    for user in users() {
        let ended = finish(Scene::new(user).command(&["doctor"]));
        let features = features(&ended.output);
        assert!(7 < features.len(), "{ended:#?}");
        for feature in features.iter().filter(|feature| feature.required) {
            assert_eq!(feature.state, State::Ok, "{user:?}: {}", feature.name);
        }
    }
}

#[test]
fn a_machine_without_user_namespaces_is_recognised() {
    // In a namespace of its own, where a user may forbid itself any further one.
    let probe = crate::scene::probe().display().to_string();
    let script = format!("echo 0 > /proc/sys/user/max_user_namespaces && exec {probe} doctor");
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--user", "--map-user=1000", "--keep-caps", "/bin/sh", "-c", &script]).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = finish(command);
    let features = features(&ended.output);
    for name in ["unprivileged user namespaces", "a spoke, with every layer", "an app, with every layer"] {
        let feature = features.iter().find(|feature| feature.name == name).expect(name);
        match &feature.state {
            State::Missing { what, why, what_to_do } => {
                assert!(what.starts_with("user namespace"), "{feature:?}");
                assert_eq!(why, "user.max_user_namespaces is 0");
                assert!(what_to_do.contains("sysctl -w user.max_user_namespaces"), "{feature:?}");
            }
            State::Ok => panic!("{name} worked: {ended:#?}"),
        }
    }
}

#[test]
fn root_that_cannot_become_another_user_is_told_what_to_do() {
    let probe = crate::scene::probe().display().to_string();
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--user", "--map-root-user", &probe, "doctor"]).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = finish(command);
    let features = features(&ended.output);
    let feature = features.iter().find(|feature| feature.name.contains("a spoke")).expect("a spoke");
    match &feature.state {
        State::Missing { what, what_to_do, .. } => {
            assert!(what.starts_with("unprivileged id"), "{feature:?}");
            assert!(what_to_do.contains("as an ordinary user"), "{feature:?}");
        }
        State::Ok => panic!("it worked: {ended:#?}"),
    }
}
