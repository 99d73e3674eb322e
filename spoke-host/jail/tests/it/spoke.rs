//! What a spoke cannot do once it is confined.

use crate::scene::{Ended, Scene, Target, users};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// The same act outside, where the check holds, and in a spoke, which dies of one of the calls.
#[track_caller]
fn check(act: &[&str], outside: fn(&Ended), calls: &[&str]) {
    for user in users() {
        let scene = Scene::new(user);
        outside(&scene.outside(act));
        scene.spoke(act).spoke_died_of(calls);
    }
}

#[test]
fn a_spoke_can_wait_allocate_and_end() {
    for user in users() {
        let scene = Scene::new(user);
        scene.spoke(&["sleep", "ms=20"]).worked();
        scene.spoke(&["memory", "mb=100"]).worked();
        assert_eq!(scene.spoke(&["exit", "code=7"]).status.code(), Some(7));
    }
}

#[test]
fn a_spoke_reads_writes_and_lists_no_file() {
    for user in users() {
        let scene = Scene::new(user);
        let secret = format!("path={}", scene.text("outside/secret"));
        let new = format!("path={}", scene.text("outside/new"));
        let folder = format!("path={}", scene.text("outside"));
        for act in [["read", &secret], ["write", &new], ["list", &folder]] {
            scene.outside(&act).worked();
            scene.spoke(&act).spoke_died_of(&["openat"]);
        }
    }
}

#[test]
fn a_spoke_starts_no_process_and_no_thread() {
    for user in users() {
        let scene = Scene::new(user);
        let outside = scene.outside(&["become"]);
        assert_eq!((outside.status.code(), outside.line()), (Some(0), None), "{outside:#?}");
        scene.spoke(&["become"]).spoke_died_of(&["execve"]);
    }
    check(&["fork"], Ended::worked, &["clone"]);
}

#[test]
fn a_spoke_cannot_touch_another_process() {
    for user in users() {
        let scene = Scene::new(user);
        for (act, call) in [
            ("ptrace", "ptrace"),
            ("memory-of", "process_vm_readv"),
            ("descriptor-of", "pidfd_open"),
            ("proc-of", "openat"),
            ("signal", "kill"),
        ] {
            let target = Target::new(&scene);
            let act = [act, &target.pid()];
            let outside = scene.outside(&act);
            // Reading foreign memory at an address that is not mapped there reaches the process and fails.
            if act[0] == "memory-of" {
                outside.failed_with(14)
            } else {
                outside.worked()
            }
            let target = Target::new(&scene);
            scene.spoke(&[act[0], &target.pid()]).spoke_died_of(&[call]);
        }
        scene.spoke(&["signal-parent"]).spoke_died_of(&["kill"]);
    }
}

#[test]
fn a_spoke_cannot_open_a_socket() {
    for user in users() {
        let scene = Scene::new(user);
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("address={}", tcp.local_addr().unwrap());
        let path = scene.path("outside/socket");
        let _unix = UnixListener::bind(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        let path = format!("path={}", path.display());
        let name = format!("jail-it-spoke-{user:?}-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&name).unwrap();
        let _abstract = UnixListener::bind_addr(&abstract_address).unwrap();
        let name = format!("name={name}");
        for act in [["tcp", &address], ["unix", &path], ["abstract", &name]] {
            scene.outside(&act).worked();
            scene.spoke(&act).spoke_died_of(&["socket"]);
        }
        scene.outside(&["loopback"]).worked();
        scene.spoke(&["loopback"]).spoke_died_of(&["socket"]);
    }
}

#[test]
fn a_spoke_reaches_no_rarely_used_part_of_the_kernel() {
    // Outside each of them comes back, with success or an error of its own.
    for (act, calls) in [
        ("namespace", "unshare"),
        ("io-uring", "io_uring_setup"),
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
        ("capability", "prctl"),
        ("raise-limit", "prlimit64"),
        ("terminal", "ioctl"),
        ("executable-memory", "mmap"),
    ] {
        check(&[act], Ended::came_back, &[calls]);
    }
}

#[test]
fn a_spoke_cannot_take_eight_gigabytes() {
    for user in users() {
        let scene = Scene::new(user);
        // Outside a part of it, which is more than the limit, so that small machines can run this.
        scene.outside(&["memory", "mb=700"]).worked();
        scene.spoke(&["memory", "mb=8192"]).got_nothing();
    }
}

#[test]
fn a_spoke_does_not_start_with_what_it_must_not_have() {
    for user in users() {
        let scene = Scene::new(user);
        let mut command = scene.command(&["spoke", "sleep", "ms=1"]);
        command.env("API_KEY", "secret");
        let ended = crate::scene::finish(command);
        assert!(ended.errors.contains("API_KEY") && !ended.errors.contains("secret"), "{ended:#?}");
        assert_eq!(ended.status.code(), Some(126));

        let mut command = scene.command(&["spoke", "sleep", "ms=1"]);
        command.stdin(std::fs::File::open(scene.path("outside/secret")).unwrap());
        let ended = crate::scene::finish(command);
        assert!(ended.errors.contains("descriptor 0 is"), "{ended:#?}");
        assert_eq!(ended.status.code(), Some(126));
    }
}

#[test]
fn an_app_inherits_nothing_unnamed() {
    for user in users() {
        let scene = Scene::new(user);
        let file = std::fs::File::open(scene.path("outside/secret")).unwrap();
        nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
        scene.outside(&["descriptors"]).worked();
        scene.app(&["descriptors"]).got_nothing();
        let mut command = scene.command(&["environment"]);
        command.env("API_KEY", "secret");
        crate::scene::finish(command).worked();
        scene.app(&["environment"]).got_nothing();
    }
}
