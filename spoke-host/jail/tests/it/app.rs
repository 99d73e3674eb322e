//! What an app cannot do in its jail, and what it can.

use crate::scene::{Ended, Scene, Target, User, users};
use jail::Layer;
use jail::app::{AppEnd, AppEvent};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};

const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
const EAGAIN: i32 = 11;
const EACCES: i32 = 13;
const EINVAL: i32 = 22;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const ECONNREFUSED: i32 = 111;

#[test]
fn an_app_lives_as_programs_expect_to() {
    for user in users() {
        let scene = Scene::new(user);
        for act in [
            &["exec"][..],
            &["fork"],
            &["loopback"],
            &["executable-memory"],
            &["write", "path=/data/x"],
            &["write", "path=/tmp/x"],
            &["write", "path=/dev/shm/x"],
            &["read", "path=/dev/urandom-no"],
            &["socket", "family=16", "type=3", "protocol=0"],
            &["read", "path=/app/probe"],
            &["read", "path=/proc/self/status"],
            &["read", "path=/etc/passwd"],
        ] {
            let ended = scene.app(act);
            if act == ["read", "path=/dev/urandom-no"] {
                ended.failed_with(ENOENT);
            } else {
                ended.worked();
            }
            assert_eq!(ended.events().first(), Some(&AppEvent::Started), "{ended:#?}");
        }
    }
}

#[test]
fn an_app_cannot_read_where_its_folders_lie() {
    const LOOK: &str = "cat /proc/[0-9]*/mountinfo /proc/[0-9]*/mounts /proc/[0-9]*/mountstats /proc/mounts \
                        /proc/[0-9]*/maps /proc/[0-9]*/cmdline /proc/[0-9]*/fdinfo/* 2> /dev/null; \
                        readlink /proc/[0-9]*/cwd /proc/[0-9]*/root /proc/[0-9]*/exe /proc/[0-9]*/fd/*; ls /data /tmp; pwd";
    for user in users() {
        let scene = Scene::new(user);
        let place = scene.path("app").parent().unwrap().to_str().unwrap().to_owned();
        // The control: a process that has one of these folders mounted can read where it comes from.
        let mut outside = std::process::Command::new("unshare");
        outside.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
        let mounted = format!("mount --bind {place}/app /mnt && cat /proc/self/mountinfo");
        let outside = outside.arg(mounted).output().unwrap();
        assert!(String::from_utf8_lossy(&outside.stdout).contains(&place), "{outside:?}");
        let ended = scene.jailed(&scene.spec(&["sh", "-c", LOOK]));
        assert!(ended.output.contains("/app"), "the app's own names are there: {ended:#?}");
        assert!(!ended.output.contains(&place), "{ended:#?}");
    }
}

#[test]
fn an_app_sees_nothing_of_the_machine_but_the_systems_own_folders() {
    for user in users() {
        let scene = Scene::new(user);
        let secret = format!("path={}", scene.text("outside/secret"));
        scene.outside(&["read", &secret]).worked();
        scene.app(&["read", &secret]).failed_with(ENOENT);
        let folder = format!("path={}", scene.text("outside"));
        scene.outside(&["list", &folder]).worked();
        scene.app(&["list", &folder]).failed_with(ENOENT);
        // The password file of the machine and the way up.
        let shadow = scene.outside(&["read", "path=/etc/shadow"]);
        if user == User::Root {
            shadow.worked()
        } else {
            shadow.failed_with(EACCES)
        }
        scene.app(&["read", "path=/etc/shadow"]).failed_with(ENOENT);
        scene.outside(&["climb"]).worked();
        scene.app(&["climb"]).failed_with(ENOENT);
        scene.outside(&["list", "path=/sys"]).worked();
        scene.app(&["list", "path=/sys"]).failed_with(ENOENT);

        let root = scene.app(&["list", "path=/"]);
        root.worked();
        let allowed = [
            "app", "bin", "data", "dev", "etc", "lib", "lib32", "lib64", "libx32", "nix", "proc", "sbin",
            "tmp", "usr",
        ];
        let line = root.line().unwrap();
        for name in line["detail"].as_str().unwrap().split(' ') {
            assert!(allowed.contains(&name), "{name} at the root: {root:#?}");
        }
        let devices = scene.app(&["list", "path=/dev"]);
        assert_eq!(
            devices.line().unwrap()["detail"],
            "fd full null random shm stderr stdin stdout urandom zero"
        );
    }
}

#[test]
fn an_app_writes_to_its_data_and_nowhere_else() {
    for user in users() {
        let scene = Scene::new(user);
        let outside = format!("path={}", scene.text("outside/new"));
        scene.outside(&["write", &outside]).worked();
        scene.app(&["write", &outside]).failed_with(ENOENT);
        for place in ["/app/x", "/usr/x", "/x", "/etc/x", "/dev/x"] {
            scene.app(&["write", &format!("path={place}")]).failed_with(EROFS);
        }
        // Not even a setting that would be its own, nor what is masked.
        scene.app(&["write", "path=/proc/sys/kernel/hostname"]).failed_with(EROFS);
        scene.app(&["write", "path=/proc/sysrq-trigger"]).came_back();
        scene.app(&["device", "path=/data/mem"]).app_ended_for(&["mknodat", "mknod"]);
    }
}

#[test]
fn a_named_path_is_shown_and_nothing_beside_it() {
    for user in users() {
        let scene = Scene::new(user);
        std::fs::create_dir(scene.path("outside/named")).unwrap();
        std::fs::write(scene.path("outside/named/file"), "shown").unwrap();
        for path in ["outside/named", "outside/named/file"] {
            let mode = if path.ends_with("file") { 0o644 } else { 0o755 };
            std::fs::set_permissions(scene.path(path), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let file = format!("path={}", scene.text("outside/named/file"));
        let mut spec = scene.spec(&["/app/probe", "read", &file]);
        scene.jailed(&spec).failed_with(ENOENT);
        spec.read = vec![scene.path("outside/named")];
        scene.jailed(&spec).worked();
        spec.read = vec![scene.path("outside/named/file")];
        scene.jailed(&spec).worked();
        spec.command[1] = "write".to_owned();
        scene.jailed(&spec).failed_with(EROFS);
        spec.command[1] = "read".to_owned();
        spec.command[2] = format!("path={}", scene.text("outside/secret"));
        scene.jailed(&spec).failed_with(ENOENT);
    }
}

#[test]
fn an_app_cannot_reach_the_network_or_the_store() {
    for user in users() {
        let scene = Scene::new(user);
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("address={}", tcp.local_addr().unwrap());
        let path = scene.path("outside/socket");
        let _unix = UnixListener::bind(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        let path = format!("path={}", path.display());
        let name = format!("jail-it-app-{user:?}-{}", std::process::id());
        let _abstract = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let name = format!("name={name}");
        for (act, errno) in [
            (["tcp", &address], ECONNREFUSED),
            (["unix", &path], ENOENT),
            (["abstract", &name], ECONNREFUSED),
        ] {
            scene.outside(&act).worked();
            scene.app(&act).failed_with(errno);
        }
        // Packet, raw, vsock, kernel crypto, audit and netfilter sockets.
        for (family, kind, protocol) in
            [(17, 3, 0), (2, 3, 1), (40, 1, 0), (38, 5, 0), (16, 3, 9), (16, 3, 12), (1_000_000, 1, 0)]
        {
            let act = [
                "socket".to_owned(),
                format!("family={family}"),
                format!("type={kind}"),
                format!("protocol={protocol}"),
            ];
            let act: Vec<&str> = act.iter().map(String::as_str).collect();
            scene.outside(&act).came_back();
            scene.app(&act).app_ended_for(&["socket"]);
        }
    }
}

#[test]
fn an_app_cannot_touch_a_process_that_is_not_its_own() {
    for user in users() {
        let scene = Scene::new(user);
        for (act, inside) in [
            ("signal", Some(ESRCH)),
            ("proc-of", Some(ENOENT)),
            ("processes", None),
            ("descriptor-of", Some(ESRCH)),
        ] {
            let target = Target::new(&scene);
            scene.outside(&[act, &target.pid()]).worked();
            // A number no process in the jail has, as the target's own could be.
            let target = Target::new(&scene);
            let ended = scene.app(&[act, &target.pid()]);
            match inside {
                Some(errno) => ended.failed_with(errno),
                None => ended.got_nothing(),
            }
        }
        let target = Target::new(&scene);
        scene.outside(&["ptrace", &target.pid()]).worked();
        scene.app(&["ptrace", "pid=1"]).app_ended_for(&["ptrace"]);
        scene.app(&["memory-of", "pid=1"]).app_ended_for(&["process_vm_readv"]);
        scene.app(&["descriptor-of", "pid=1"]).app_ended_for(&["pidfd_getfd"]);
        // Init has the same id, and is closed to the app all the same.
        scene.app(&["init-memory"]).failed_with(EACCES);
        scene.app(&["signal", "pid=1"]).came_back();
        let ended = scene.app(&["signal-parent"]);
        assert_eq!(ended.end(), Some(AppEnd::Exited { code: 1 }), "init died: {ended:#?}");
    }
}

#[test]
fn an_app_reaches_no_rarely_used_part_of_the_kernel() {
    for user in users() {
        let scene = Scene::new(user);
        for (act, call) in [
            ("namespace", "unshare"),
            ("bpf", "bpf"),
            ("keyctl", "keyctl"),
            ("userfaultfd", "userfaultfd"),
            ("perf", "perf_event_open"),
            ("module", "init_module"),
            ("reboot", "reboot"),
            ("time", "settimeofday"),
            ("chroot", "chroot"),
            ("handle", "open_by_handle_at"),
            ("mount", "mount"),
            ("personality", "personality"),
            ("terminal", "ioctl"),
        ] {
            scene.outside(&[act]).came_back();
            scene.app(&[act]).app_ended_for(&[call]);
        }
        scene.outside(&["io-uring"]).came_back();
        scene.app(&["io-uring"]).failed_with(EPERM);
        scene.app(&["capability"]).failed_with(EINVAL);
        scene.app(&["tty"]).failed_with(ENOENT);
        if user == User::Root {
            scene.outside(&["raise-limit"]).came_back();
        }
        scene.app(&["raise-limit"]).failed_with(EPERM);
    }
}

#[test]
fn a_setuid_program_gives_an_app_nothing() {
    let setuid = ["/usr/bin/su", "/usr/bin/mount", "/usr/bin/passwd"]
        .into_iter()
        .find(|path| {
            std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o4000 != 0)
        })
        .expect("a machine with one of these setuid programs");
    for user in users() {
        let scene = Scene::new(user);
        let act = ["setuid", &format!("path={setuid}")];
        scene.outside(&act).worked();
        scene.app(&act).got_nothing();
    }
}

#[test]
fn an_app_stays_within_its_limits() {
    for user in users() {
        let scene = Scene::new(user);
        let limited = |act: &[&str], change: fn(&mut jail::limits::AppLimits)| -> Ended {
            let command: Vec<&str> = std::iter::once("/app/probe").chain(act.iter().copied()).collect();
            let mut spec = scene.spec(&command);
            change(&mut spec.limits);
            scene.jailed(&spec)
        };

        scene.outside(&["memory", "mb=300"]).worked();
        limited(&["memory", "mb=8192"], |limits| limits.memory_mb = 128).got_nothing();

        scene.outside(&["forks", "count=100"]).worked();
        let forks = limited(&["forks", "count=100"], |limits| limits.processes = 20);
        let line = forks.line().unwrap_or_else(|| panic!("{forks:#?}"));
        assert_eq!(line["detail"], "after 19", "the probe itself is one: {forks:#?}");

        scene.outside(&["open-files", "count=200"]).worked();
        limited(&["open-files", "count=200"], |limits| limits.open_files = 100).failed_with(EMFILE);

        scene.outside(&["spin", "seconds=2"]).worked();
        let spin = limited(&["spin", "seconds=20"], |limits| limits.cpu_s = 1);
        assert_eq!(spin.end(), Some(AppEnd::CpuTime), "{spin:#?}");

        let outside = format!("path={}", scene.text("outside"));
        scene.outside(&["fill", &outside, "mb=4", "file_mb=4"]).worked();
        let large = limited(&["fill", "path=/data", "mb=4", "file_mb=4"], |limits| limits.file_mb = 2);
        assert_eq!(large.end(), Some(AppEnd::FileSize), "{large:#?}");

        limited(&["fill", "path=/tmp", "mb=40", "file_mb=1"], |limits| limits.tmp_mb = 8).failed_with(ENOSPC);
    }
}

#[test]
fn an_app_that_fills_its_data_folder_is_ended() {
    for user in users() {
        for unlink in [&["unlink=1"][..], &[]] {
            let scene = Scene::new(user);
            let mut act = vec!["fill", "path=/data", "mb=16", "file_mb=1", "wait_ms=20000"];
            act.extend(unlink);
            let command: Vec<&str> = std::iter::once("/app/probe").chain(act).collect();
            let mut spec = scene.spec(&command);
            spec.limits.data_mb = 8;
            let ended = scene.jailed(&spec);
            assert!(
                matches!(ended.end(), Some(AppEnd::OverData { used_mb: 9..=16, limit_mb: 8 })),
                "{ended:#?}"
            );
            // Within the limit nothing happens.
            spec.limits.data_mb = 64;
            spec.command.retain(|part| !part.starts_with("wait_ms"));
            scene.jailed(&spec).worked();
        }
    }
}

#[test]
fn processes_that_are_too_large_together_are_ended() {
    for user in users() {
        let scene = Scene::new(user);
        let one = "/app/probe hold-memory mb=60";
        let together = format!("{one} & {one} & {one} & wait");
        let mut spec = scene.spec(&["/bin/sh", "-c", &together]);
        spec.limits.memory_mb = 100;
        let ended = scene.jailed(&spec);
        assert!(matches!(ended.end(), Some(AppEnd::OverMemory { limit_mb: 100, .. })), "{ended:#?}");
        spec.command[2] = "/app/probe memory mb=60".to_owned();
        scene.jailed(&spec).worked();
    }
}

/// What a person is told about an app that cannot start.
#[track_caller]
fn failure(ended: &Ended) -> (Layer, String) {
    match ended.events().as_slice() {
        [AppEvent::Failed { layer, message, hint }] => {
            (*layer, format!("{message}; {}", hint.clone().unwrap_or_default()))
        }
        _ => panic!("{ended:#?}"),
    }
}

#[test]
fn what_is_wrong_with_a_command_is_said_with_what_would_mend_it() {
    for user in users() {
        let scene = Scene::new(user);
        let script = |name: &str, text: &str| {
            std::fs::write(scene.path("app").join(name), text).unwrap();
            std::fs::set_permissions(scene.path("app").join(name), std::fs::Permissions::from_mode(0o755))
                .unwrap();
        };
        script("lost", "#!/opt/none/bin/python3\nprint()\n");
        script("env", "#!/usr/bin/env no-such-python\n");
        script("text", "neither a program nor a script");
        let outside = scene.text("outside/tool");
        std::fs::copy(scene.path("app/probe"), &outside).unwrap();
        for (command, says) in [
            (vec!["no-such-program"], vec!["no-such-program", "PATH=", "[filesystem] read"]),
            (vec![outside.as_str()], vec![outside.as_str(), "[filesystem] read = [\"", "not visible"]),
            (vec!["./missing"], vec!["./missing", "the app's own folder"]),
            (
                vec!["/app/lost"],
                vec!["/opt/none/bin/python3", "interpreter of /app/lost", "read = [\"/opt/none\"]"],
            ),
            (vec!["./env"], vec!["no-such-python", "interpreter of ./env"]),
            (vec!["./text"], vec!["#!"]),
            (vec!["/etc/passwd"], vec!["cannot be executed"]),
            (vec![""], vec!["empty"]),
        ] {
            let (layer, text) = failure(&scene.jailed(&scene.spec(&command)));
            assert_eq!(layer, Layer::Command, "{command:?}: {text}");
            for word in says {
                assert!(text.contains(word), "{command:?} does not say {word}: {text}");
            }
        }
    }
}

#[test]
fn what_is_wrong_with_a_path_is_said() {
    for user in users() {
        let scene = Scene::new(user);
        let mut spec = scene.spec(&["true"]);
        spec.read = vec!["/no/such/path".into()];
        let (layer, text) = failure(&scene.jailed(&spec));
        assert_eq!(layer, Layer::View);
        assert!(text.contains("/no/such/path") && text.contains("does not exist"), "{text}");
        spec.read = vec!["/".into()];
        assert_eq!(failure(&scene.jailed(&spec)).0, Layer::View);
        spec.read = vec![format!("/{}", "x".repeat(5000)).into()];
        let (layer, text) = failure(&scene.jailed(&spec));
        assert_eq!(layer, Layer::Command);
        assert!(text.contains("longer than") && text.len() < 200, "{text}");
        spec.read = Vec::new();
        spec.app_dir = "relative".into();
        assert!(failure(&scene.jailed(&spec)).1.contains("not an absolute path"));
        // Over the limit on processes of the kernel's own accounting there is no app either.
        let mut spec = scene.spec(&["/app/probe", "fork"]);
        spec.limits.processes = 1;
        scene.jailed(&spec).failed_with(EAGAIN);
    }
}
