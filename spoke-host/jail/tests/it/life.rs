//! How apps begin and end, and that nothing is left of them.

use crate::scene::{Running, Scene, finish, until, users};
use jail::app::{AppEnd, AppEvent};
use std::collections::BTreeSet;
use std::process::Stdio;

/// Every process below one, as the machine counts.
fn below(pid: u32) -> BTreeSet<u32> {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let status = std::fs::read_to_string(entry.path().join("status")).ok()?;
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
            Some((pid, parent.trim().parse().ok()?))
        })
        .collect();
    let mut found = BTreeSet::from([pid]);
    loop {
        let more: Vec<u32> = parents
            .iter()
            .filter(|(pid, parent)| found.contains(parent) && !found.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            found.remove(&pid);
            return found;
        }
        found.extend(more);
    }
}

fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/status"))
        .is_ok_and(|status| !status.contains("State:\tZ") && !status.contains("State:\tX"))
}

fn ended(line: &str) -> Option<AppEnd> {
    match serde_json::from_str(line) {
        Ok(AppEvent::Ended(end)) => Some(end),
        _ => None,
    }
}

#[test]
fn an_exit_code_and_a_signal_are_told_as_they_are() {
    for user in users() {
        let scene = Scene::new(user);
        assert_eq!(scene.app(&["exit", "code=42"]).end(), Some(AppEnd::Exited { code: 42 }));
        let aborted = scene.app(&["abort"]).end();
        assert_eq!(aborted, Some(AppEnd::Signalled { signal: 6, name: "SIGABRT".to_owned() }));
    }
}

#[test]
fn an_app_speaks_over_its_standard_descriptors() {
    for user in users() {
        let scene = Scene::new(user);
        let mut command = scene.jailed_command(&scene.spec(&["/app/probe", "echo"]));
        command.stdin(Stdio::piped());
        let mut running = Running::new(command);
        running.started();
        running.say("hello\n");
        running.lines_until(|line| line.contains(r#""detail":"hello""#));
    }
}

#[test]
fn what_an_app_leaves_running_ends_with_it() {
    for user in users() {
        let scene = Scene::new(user);
        let spec = scene.spec(&["/bin/sh", "-c", "/app/probe leave-a-child; exec /app/probe sleep ms=700"]);
        let mut running = Running::new(scene.jailed_command(&spec));
        running.started();
        // Launcher, init, program and the one it left.
        until("the child runs", || 4 <= below(running.pid()).len());
        let all = below(running.pid());
        running.lines_until(|line| ended(line) == Some(AppEnd::Exited { code: 0 }));
        until("everything ended", || !all.iter().any(|pid| alive(*pid)));
    }
}

#[test]
fn nothing_is_left_when_the_spoke_is_killed() {
    for user in users() {
        let scene = Scene::new(user);
        let spec = scene.spec(&["/bin/sh", "-c", "/app/probe leave-a-child; exec /app/probe sleep ms=30000"]);
        let mut running = Running::new(scene.jailed_command(&spec));
        running.started();
        until("the child runs", || 4 <= below(running.pid()).len());
        let all = below(running.pid());
        running.child.kill().unwrap();
        until("everything ended", || !all.iter().any(|pid| alive(*pid)));
    }
}

#[test]
fn nothing_is_left_when_the_launcher_or_init_is_killed() {
    for user in users() {
        for victim in [0, 1] {
            let scene = Scene::new(user);
            let spec = scene.spec(&["/app/probe", "sleep", "ms=30000"]);
            let mut running = Running::new(scene.jailed_command(&spec));
            running.started();
            let launcher = *below(running.pid()).first().unwrap();
            let all = below(running.pid());
            let pid = if victim == 0 { launcher } else { *below(launcher).first().unwrap() };
            let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
            until("everything ended", || !all.iter().any(|pid| alive(*pid)));
        }
    }
}

#[test]
fn closing_the_control_channel_ends_the_app() {
    // In the process of the test itself, which stands for the spoke.
    let user = users()[0];
    let scene = Scene::new(user);
    let spec = scene.spec(&["/app/probe", "sleep", "ms=30000"]);
    let mut app = jail::app::start_with(crate::scene::probe(), &["app"], &spec).unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(&app.control), &mut line).unwrap();
    assert_eq!(line.trim(), r#"{"event":"started"}"#);
    let all = below(app.child.id());
    assert_eq!(all.len(), 2, "init and the program");
    drop(app.control);
    crate::scene::wait(&mut app.child);
    until("everything ended", || !all.iter().any(|pid| alive(*pid)));
}

#[test]
fn a_confined_spoke_ends_with_its_host() {
    for user in users() {
        // A shell in the place of the host, that starts a spoke and is killed.
        let probe = crate::scene::probe().display().to_string();
        let script = format!("env -i {probe} spoke sleep ms=30000 <&3 & echo $!; wait");
        let mut shell = std::process::Command::new("/bin/sh");
        shell
            .args(["-c", &format!("exec 3</dev/null; {script}")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        crate::scene::become_user(&mut shell, user);
        shell.stderr(Stdio::piped());
        let mut running = Running::new(shell);
        let spoke: u32 = running.next_line().parse().unwrap();
        until("the spoke is confined", || {
            std::fs::read_to_string(format!("/proc/{spoke}/status"))
                .is_ok_and(|status| status.contains("Seccomp:\t2"))
        });
        running.child.kill().unwrap();
        until("the spoke ended", || !alive(spoke));
    }
}

#[test]
fn a_parent_that_is_gone_already_is_noticed() {
    let scene = Scene::new(users()[0]);
    let mut spec = scene.spec(&["true"]);
    // Without the channel the launcher speaks on standard error. Nobody's parent is process 4194304.
    spec.parent = Some(4_194_304);
    let ended = finish(scene.command(&["app", &serde_json::to_string(&spec).unwrap()]));
    assert!(ended.errors.contains("\"layer\":\"parent_death\""), "{ended:#?}");
}
