//! What the kernel says of real processes, read as a host does.

use crate::scene::{Running, Scene, Target, finish, users};
use jail::report::Report;

#[track_caller]
fn read(scene: &Scene, role: &str, pid: u32) -> (Report, Vec<String>) {
    let ended = finish(scene.command(&["report", role, &pid.to_string()]));
    let value: serde_json::Value =
        serde_json::from_str(ended.output.trim()).unwrap_or_else(|_| panic!("{ended:#?}"));
    let missing = value["missing"].as_array().unwrap().iter().map(|layer| layer.as_str().unwrap().to_owned());
    (serde_json::from_value(value["report"].clone()).unwrap(), missing.collect())
}

#[test]
fn the_kernel_reports_the_filter_and_every_other_layer_of_a_spoke() {
    for user in users() {
        let scene = Scene::new(user);
        let running = Running::new(scene.command(&["spoke", "sleep", "ms=30000"]));
        crate::scene::until("the spoke is confined", || {
            std::fs::read_to_string(format!("/proc/{}/status", running.pid()))
                .is_ok_and(|status| status.contains("Seccomp_filters:\t2"))
        });
        let (report, missing) = read(&scene, "spoke", running.pid());
        assert!(missing.is_empty(), "{user:?}: {missing:?} {report:#?}");
        assert_eq!(report.seccomp_mode, 2);
        // Started by root its memory belongs to root alone; an ordinary user's host could not vouch.
        assert_eq!(report.dumpable, user == crate::scene::User::Ordinary);
    }
}

#[test]
fn the_kernel_reports_every_layer_of_an_app() {
    for user in users() {
        let scene = Scene::new(user);
        let spec = scene.spec(&["/app/probe", "sleep", "ms=30000"]);
        let mut running = Running::new(scene.jailed_command(&spec));
        running.started();
        let (report, missing) = read(&scene, "app", running.pid());
        assert!(missing.is_empty(), "{user:?}: {missing:?} {report:#?}");
        assert_eq!(report.interfaces, ["lo"]);
    }
}

#[test]
fn a_process_that_is_not_confined_is_not_vouched_for() {
    for user in users() {
        let scene = Scene::new(user);
        let target = Target::new(&scene);
        let (_, missing) = read(&scene, "spoke", target.child.id());
        for layer in [
            "seccomp",
            "no_new_privileges",
            "limits",
            "user_namespace",
            "mount_namespace",
            "network_namespace",
            "ipc_namespace",
            "uts_namespace",
            "environment",
            "view",
        ] {
            assert!(missing.iter().any(|other| other == layer), "{user:?}: {layer} not in {missing:?}");
        }
    }
}
