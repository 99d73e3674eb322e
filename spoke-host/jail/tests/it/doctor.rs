//! What this machine can enforce, as `secgpt doctor` will say it.

use crate::scene::{Scene, finish, users};
use jail::probe::{Feature, State};

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
    // An ordinary user is root in a namespace of its own, and there forbids any further one.
    let scene = Scene::new(*users().last().unwrap());
    let mut command = std::process::Command::new("/usr/bin/unshare");
    let probe = crate::scene::probe().display().to_string();
    let script = format!(
        "echo 0 > /proc/sys/user/max_user_namespaces && exec unshare -U {probe} doctor; {probe} doctor"
    );
    command.args(["-U", "-r", "/bin/sh", "-c", &script]).env_clear();
    command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    drop(scene);
    let ended = finish(command);
    let missing: Vec<String> = features(&ended.output)
        .into_iter()
        .filter(|feature| feature.required && feature.state != State::Ok)
        .map(|feature| feature.name)
        .collect();
    assert!(missing.iter().any(|name| name.contains("user namespaces")), "{ended:#?}");
    assert!(missing.iter().any(|name| name.contains("a spoke")), "{ended:#?}");
}
