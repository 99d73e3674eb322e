//! Which host starts a spoke.
//!
//! Answers: who takes it, shall it wait, or can nobody take it?
//! Never: places a spoke on a host that cannot enforce every layer, or whose copy of the app differs.
//! Carries: I-11.

use std::collections::HashMap;

use bus::id::{AppId, HostId};

/// A host as it last reported.
#[derive(Clone, Debug, Default)]
pub struct Seats {
    /// Spokes alive or being started there.
    pub taken: u32,
    /// At most.
    pub capacity: u32,
    /// Apps in its folders, with the hash of each.
    pub apps: HashMap<AppId, String>,
    /// Has it not looked for them since apps were taken up? It looks again at each start, so it may be asked.
    pub behind: bool,
    /// What it cannot enforce.
    pub missing: Vec<String>,
}

/// What becomes of a spoke that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Ask this host.
    On(HostId),
    /// Nobody now, but somebody may come or get room. The sentence is for when the time runs out.
    Wait(String),
    /// Nobody, and waiting will not change it.
    Never(String),
}

/// Picks the host with the most room of those that can take it. `pinned` is empty for a spoke without a folder,
/// which any host can take; `tried` have refused it already.
#[must_use]
pub fn choose<'a>(
    hosts: impl Iterator<Item = (&'a HostId, &'a Seats)>,
    app: &AppId,
    pinned: &str,
    tried: &[HostId],
) -> Placement {
    let mut best: Option<(u32, &HostId)> = None;
    let (mut full, mut reasons) = (0_u32, Vec::new());
    for (host, seats) in hosts {
        if tried.contains(host) {
            continue;
        }
        if !seats.missing.is_empty() {
            reasons.push(format!("host {host} cannot enforce {}", seats.missing.join(", ")));
            continue;
        }
        if !pinned.is_empty() && !seats.behind {
            match seats.apps.get(app) {
                None => {
                    reasons.push(format!("host {host} does not have the app {app}"));
                    continue;
                }
                Some(hash) if hash != pinned => {
                    reasons.push(format!(
                        "the files of {app} on host {host} differ from the ones that are pinned"
                    ));
                    continue;
                }
                Some(_) => {}
            }
        }
        let room = seats.capacity.saturating_sub(seats.taken);
        if room == 0 {
            full = full.saturating_add(1);
        } else if best.is_none_or(|(most, name)| (room, name) > (most, host)) {
            best = Some((room, host));
        }
    }
    match (best, full, reasons.is_empty(), tried.is_empty()) {
        (Some((_, host)), ..) => Placement::On(host.clone()),
        (None, 1.., ..) => Placement::Wait("every host is full".into()),
        (None, 0, false, _) => Placement::Never(reasons.join("; ")),
        (None, 0, true, true) => Placement::Wait("no spoke-host has come on the bus".into()),
        (None, 0, true, false) => Placement::Never(String::new()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn host(name: &str) -> HostId {
        HostId::parse(name).unwrap()
    }

    fn app() -> AppId {
        AppId::parse("mail").unwrap()
    }

    fn seats(taken: u32, capacity: u32, hash: &str) -> Seats {
        let apps = [(app(), hash.to_owned())].into_iter().collect();
        Seats { taken, capacity, apps, behind: false, missing: Vec::new() }
    }

    #[track_caller]
    fn check(hosts: &[(HostId, Seats)], tried: &[HostId], expected: Placement) {
        let hosts = hosts.iter().map(|(host, seats)| (host, seats));
        assert_eq!(choose(hosts, &app(), "h1", tried), expected);
    }

    #[test]
    fn the_host_with_the_most_room_is_asked() {
        let hosts = [(host("a"), seats(5, 10, "h1")), (host("b"), seats(1, 10, "h1"))];
        check(&hosts, &[], Placement::On(host("b")));
        check(&hosts, &[host("b")], Placement::On(host("a")));
    }

    #[test]
    fn a_copy_that_differs_from_the_pinned_one_is_never_started() {
        let hosts = [(host("a"), seats(0, 10, "other"))];
        let why = "the files of mail on host a differ from the ones that are pinned";
        check(&hosts, &[], Placement::Never(why.into()));
    }

    #[test]
    fn a_host_that_cannot_enforce_a_layer_gets_no_spoke_and_the_layer_is_named() {
        let mut weak = seats(0, 10, "h1");
        weak.missing = vec!["user namespaces".into()];
        check(&[(host("a"), weak)], &[], Placement::Never("host a cannot enforce user namespaces".into()));
    }

    #[test]
    fn a_spoke_waits_for_room_and_for_the_first_host() {
        check(&[(host("a"), seats(10, 10, "h1"))], &[], Placement::Wait("every host is full".into()));
        check(&[], &[], Placement::Wait("no spoke-host has come on the bus".into()));
    }

    #[test]
    fn when_all_have_refused_nobody_is_left() {
        let hosts = [(host("a"), seats(0, 10, "h1"))];
        check(&hosts, &[host("a")], Placement::Never(String::new()));
    }

    #[test]
    fn a_spoke_without_a_folder_goes_to_any_host() {
        let hosts = [(host("a"), Seats { capacity: 1, ..Seats::default() })];
        let hosts = hosts.iter().map(|(host, seats)| (host, seats));
        assert_eq!(choose(hosts, &app(), "", &[]), Placement::On(host("a")));
    }
}
