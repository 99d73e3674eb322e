//! What `report.rs` promises, each promise a test.

use super::{Capabilities, Mount, Namespaces, Report, Role};
use crate::descriptors::Kind;
use crate::error::Layer;
use std::collections::BTreeMap;

/// A spoke as it has to be.
fn spoke() -> Report {
    let limits = [
        ("Max core file size", Some(1)),
        ("Max cpu time", Some(300)),
        ("Max open files", Some(64)),
        ("Max file size", Some(0)),
        ("Max processes", Some(0)),
        ("Max address space", Some(1 << 29)),
        ("Max data size", Some(1 << 29)),
    ];
    Report {
        pid: 1,
        seccomp_mode: 2,
        seccomp_filters: Some(4),
        no_new_privs: true,
        capabilities: Capabilities { inheritable: 0, permitted: 0, effective: 0, bounding: 0, ambient: 0 },
        uids: [65534; 4],
        groups: Vec::new(),
        threads: 1,
        hard_limits: limits.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        namespaces: Namespaces { user: 2, mount: 2, pid: 2, network: 2, ipc: 2, uts: 2, cgroup: 2 },
        descriptors: BTreeMap::from([(Kind::Pipe, 3), (Kind::Socket, 1), (Kind::Event, 1)]),
        environment_bytes: 0,
        mounts: vec![Mount { place: "/".to_owned(), kind: "tmpfs".to_owned(), writable: false }],
        mounts_listed: true,
        root_entries: 0,
        interfaces: vec!["lo".to_owned()],
        dumpable: false,
    }
}

fn host() -> Namespaces {
    Namespaces { user: 1, mount: 1, pid: 1, network: 1, ipc: 1, uts: 1, cgroup: 1 }
}

#[track_caller]
fn check(role: Role, change: impl FnOnce(&mut Report), expected: &[Layer]) {
    let mut report = spoke();
    report.mounts_listed = role == Role::Spoke;
    change(&mut report);
    assert_eq!(report.missing(role, &host()), expected);
}

#[test]
fn a_complete_report_misses_nothing() {
    check(Role::Spoke, |_| (), &[]);
    check(Role::App, |_| (), &[]);
}

#[test]
fn each_layer_that_is_not_in_force_is_named() {
    let spoke = Role::Spoke;
    check(spoke, |report| report.seccomp_mode = 0, &[Layer::Seccomp]);
    check(spoke, |report| report.seccomp_filters = Some(1), &[Layer::Seccomp]);
    check(spoke, |report| report.no_new_privs = false, &[Layer::NoNewPrivileges]);
    check(spoke, |report| report.capabilities.bounding = 1, &[Layer::Capabilities]);
    check(spoke, |report| report.capabilities.ambient = 1, &[Layer::Capabilities]);
    check(spoke, |report| report.uids[3] = 0, &[Layer::Identity]);
    check(spoke, |report| report.groups.push(0), &[Layer::Identity]);
    check(spoke, |report| report.threads = 2, &[Layer::Threads]);
    check(
        spoke,
        |report| {
            report.hard_limits.remove("Max cpu time");
        },
        &[Layer::Limits],
    );
    check(
        spoke,
        |report| {
            report.hard_limits.insert("Max processes".to_owned(), Some(1));
        },
        &[Layer::Limits],
    );
    check(spoke, |report| report.namespaces.user = 1, &[Layer::UserNamespace]);
    check(spoke, |report| report.namespaces.mount = 1, &[Layer::MountNamespace]);
    check(spoke, |report| report.namespaces.network = 1, &[Layer::NetworkNamespace]);
    check(spoke, |report| report.namespaces.ipc = 1, &[Layer::IpcNamespace]);
    check(spoke, |report| report.namespaces.uts = 1, &[Layer::UtsNamespace]);
    check(
        spoke,
        |report| {
            report.descriptors.insert(Kind::Other, 1);
        },
        &[Layer::Descriptors],
    );
    check(spoke, |report| report.environment_bytes = 1, &[Layer::Environment]);
    check(spoke, |report| report.mounts[0].writable = true, &[Layer::View]);
    check(spoke, |report| report.root_entries = 1, &[Layer::View]);
    check(spoke, |report| report.interfaces.push("eth0".to_owned()), &[Layer::Loopback]);
}

#[test]
fn an_app_needs_a_pid_namespace_and_no_writable_place_but_its_own() {
    let place = |name: &str| Mount { place: name.to_owned(), kind: "ext4".to_owned(), writable: true };
    check(Role::App, |report| report.namespaces.pid = 1, &[Layer::PidNamespace]);
    check(Role::App, |report| report.namespaces.cgroup = 1, &[Layer::CgroupNamespace]);
    check(Role::App, |report| report.mounts.push(place("/data")), &[]);
    check(Role::App, |report| report.mounts.push(place("/database")), &[Layer::View]);
    check(Role::App, |report| report.mounts.push(place("/usr")), &[Layer::View]);
    check(Role::App, |report| report.mounts.clear(), &[Layer::View]);
    check(Role::App, |report| report.mounts_listed = true, &[Layer::View]);
    check(
        Role::App,
        |report| {
            report.hard_limits.insert("Max data size".to_owned(), None);
        },
        &[Layer::Limits],
    );
}
