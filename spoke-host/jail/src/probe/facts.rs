//! Settings of the machine that stand in the way.
//!
//! Answers: why did the kernel refuse, and what should a person do?
//! Never: is a reason not to try.

use super::State;
use nix::errno::Errno;
use std::path::Path;

/// What explains a refusal, as found on the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Facts {
    /// `kernel.apparmor_restrict_unprivileged_userns` is on (Ubuntu 23.10 and later).
    apparmor_restricts: bool,
    /// `kernel.unprivileged_userns_clone` is off (older Debian, Arch's hardened kernel).
    clone_off: bool,
    /// `user.max_user_namespaces` is 0.
    none_allowed: bool,
    /// The kernel has no user namespaces at all.
    not_built: bool,
    /// We run in a container, or under somebody's filter.
    contained: bool,
}

impl Facts {
    fn read() -> Facts {
        let is =
            |path: &str, value: &str| std::fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
        let filtered = std::fs::read_to_string("/proc/self/status")
            .is_ok_and(|text| text.lines().any(|line| line == "Seccomp:\t2"));
        Facts {
            apparmor_restricts: is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
            clone_off: is("/proc/sys/kernel/unprivileged_userns_clone", "0"),
            none_allowed: is("/proc/sys/user/max_user_namespaces", "0"),
            not_built: Path::new("/proc/self/ns").exists() && !Path::new("/proc/self/ns/user").exists(),
            contained: filtered
                || ["/.dockerenv", "/run/.containerenv"].iter().any(|path| Path::new(path).exists()),
        }
    }
}

/// The reason and the remedy, most certain first. Pure.
fn explain(facts: &Facts, errno: Errno) -> Option<(&'static str, &'static str)> {
    if facts.not_built {
        return Some((
            "this kernel was built without user namespaces",
            "use a kernel with CONFIG_USER_NS, as every distribution's is",
        ));
    }
    if facts.none_allowed {
        return Some(("user.max_user_namespaces is 0", "run: sysctl -w user.max_user_namespaces=65536"));
    }
    if errno == Errno::ENOSPC || errno == Errno::EUSERS {
        return Some((
            "this user has as many namespaces as it may have",
            "raise user.max_user_namespaces, user.max_net_namespaces and user.max_mnt_namespaces",
        ));
    }
    if errno != Errno::EPERM && errno != Errno::EACCES {
        return None;
    }
    if facts.clone_off {
        return Some((
            "kernel.unprivileged_userns_clone is 0",
            "run: sysctl -w kernel.unprivileged_userns_clone=1",
        ));
    }
    if facts.apparmor_restricts {
        return Some((
            "AppArmor restricts unprivileged user namespaces (kernel.apparmor_restrict_unprivileged_userns is 1)",
            "load the AppArmor profile deploy/apparmor/secgpt, which permits them to these programs alone",
        ));
    }
    if facts.contained {
        return Some((
            "we run inside a container whose seccomp profile or security module forbids it",
            "start the container with a profile that deploy/container/allow-namespaces.py makes (docker: --security-opt seccomp=…)",
        ));
    }
    None
}

/// A hint for an error, where the machine shows a reason.
pub(crate) fn why_refused(errno: Errno) -> Option<String> {
    explain(&Facts::read(), errno).map(|(why, remedy)| format!("{why}; {remedy}"))
}

/// A feature that failed, with the hint of its error taken apart.
pub(super) fn missing(what: String, hint: Option<String>) -> State {
    let (why, what_to_do) = match hint {
        Some(hint) => match hint.split_once("; ") {
            Some((why, remedy)) => (why.to_owned(), remedy.to_owned()),
            None => ("the kernel or a security module refuses it".to_owned(), hint),
        },
        None => (
            "the kernel or a security module refuses it, and shows no setting that would explain it"
                .to_owned(),
            "look at the kernel's log for the refusal".to_owned(),
        ),
    };
    State::Missing { what, why, what_to_do }
}

/// The mount calls with attributes came with 5.12; a distribution may have added them to an older
/// kernel, so what counts are the tries that follow.
pub(super) fn kernel() -> State {
    let names = nix::sys::utsname::uname();
    let release = names.as_ref().map(|names| names.release().to_string_lossy()).unwrap_or_default();
    if at_least(&release, (5, 12)) {
        return State::Ok;
    }
    State::Missing {
        what: format!("this is Linux {release}"),
        why: "read-only views need mount_setattr, which came with 5.12".to_owned(),
        what_to_do: "use a newer kernel (Debian 12, Ubuntu 22.04, RHEL 9 or later have one)".to_owned(),
    }
}

fn at_least(release: &str, wanted: (u32, u32)) -> bool {
    let mut parts = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= wanted
}

/// Is there a cgroup of version 2 that we may divide, with the controllers that would be of use?
pub(super) fn cgroup() -> State {
    let missing = |what: &str, what_to_do: &str| State::Missing {
        what: what.to_owned(),
        why: "limits on memory and processes are kept by rlimits and by the jail's init instead".to_owned(),
        what_to_do: what_to_do.to_owned(),
    };
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some(path) = own.lines().find_map(|line| line.strip_prefix("0::/")) else {
        return missing("there is no cgroup of version 2", "boot with systemd.unified_cgroup_hierarchy=1");
    };
    let folder = Path::new("/sys/fs/cgroup").join(path);
    let controllers = std::fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
    let useful =
        ["memory", "pids"].iter().all(|wanted| controllers.split_whitespace().any(|has| has == *wanted));
    let writable = nix::unistd::access(&folder, nix::unistd::AccessFlags::W_OK).is_ok();
    if useful && writable && !path.is_empty() {
        State::Ok
    } else {
        missing("no cgroup was handed to us", "run the host as a systemd service with Delegate=yes")
    }
}

#[cfg(test)]
mod tests {
    use super::{Facts, at_least, explain};
    use nix::errno::Errno;

    #[track_caller]
    fn check(facts: Facts, errno: Errno, word: &str) {
        let (why, remedy) = explain(&facts, errno).unwrap_or_default();
        assert!(format!("{why} {remedy}").contains(word), "{facts:?}: {why}, {remedy}");
    }

    #[test]
    fn each_setting_that_is_known_to_be_in_the_way_is_named_with_its_remedy() {
        let none = Facts::default();
        check(Facts { apparmor_restricts: true, ..none.clone() }, Errno::EACCES, "deploy/");
        check(Facts { clone_off: true, ..none.clone() }, Errno::EPERM, "unprivileged_userns_clone=1");
        check(Facts { none_allowed: true, ..none.clone() }, Errno::ENOSPC, "max_user_namespaces=");
        check(Facts { not_built: true, ..none.clone() }, Errno::EINVAL, "CONFIG_USER_NS");
        check(Facts { contained: true, ..none.clone() }, Errno::EPERM, "--security-opt");
        check(none.clone(), Errno::ENOSPC, "raise");
        assert_eq!(explain(&none, Errno::EPERM), None);
    }

    #[test]
    fn a_refusal_for_another_reason_is_not_explained_away() {
        let all = Facts { apparmor_restricts: true, clone_off: true, contained: true, ..Facts::default() };
        assert_eq!(explain(&all, Errno::ENOMEM), None);
    }

    #[test]
    fn releases_are_compared_as_numbers() {
        assert!(at_least("6.18.44-x", (5, 12)));
        assert!(at_least("5.12.0", (5, 12)));
        assert!(!at_least("5.4.0-100", (5, 12)));
        assert!(!at_least("", (5, 12)));
    }
}
