//! Machines that lack something: room on the disk, user namespaces, the right to become another user.

use std::os::unix::fs::DirBuilderExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use system_tests::system::{Options, System};

use super::FARES;

/// An ordinary user with the rights of a namespace of its own, as root and an ordinary user alike can have it.
const IN_A_NAMESPACE: &[&str] =
    &["unshare", "--user", "--map-user=1000", "--map-group=1000", "--keep-caps", "--mount"];

/// Root that has no other user to become.
const ROOT_ALONE: &[&str] = &["unshare", "--user", "--map-root-user", "--mount"];

/// Mounts a small disk on the state folder; `secgpt` is the command with the system's settings, `lines` what is done.
fn on_a_disk_of(size: &str, how: &[&str], system: &System, lines: &str) -> Output {
    if !system.state().exists() {
        std::fs::DirBuilder::new().mode(0o700).create(system.state()).unwrap();
    }
    let state = system.state().display().to_string();
    let inner = system.command(&[]);
    let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_string_lossy());
    let words: Vec<String> =
        std::iter::once(inner.get_program()).chain(inner.get_args()).map(quoted).collect();
    let program = words.join(" ");
    let script = format!(
        "set -e; state='{state}'\nmount -t tmpfs -o size={size},mode=700 none \"$state\"\nset +e\n\
         secgpt() {{ timeout 40 {program} \"$@\"; }}\n\
         running() {{ exec timeout 60 {program} \"$@\"; }}\n{lines}"
    );
    let (unshare, words) = how.split_first().unwrap();
    let mut command = Command::new(unshare);
    command.args(words).args(["sh", "-c", &script]).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null()).output().expect("unshare")
}

fn outcomes(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn a_disk_that_is_full_at_the_start_is_named_and_nothing_hangs() {
    let system = System::at_rest(Options::default());
    let mut full = 0;
    for size in ["4k", "16k", "32k", "48k", "64k", "72k", "8m"] {
        let begun = Instant::now();
        let output = on_a_disk_of(
            size,
            IN_A_NAMESPACE,
            &system,
            "secgpt ask --json --private 'What is the capital of France?'",
        );
        assert!(begun.elapsed() < Duration::from_secs(20), "{size}: {:?}", begun.elapsed());
        let outcome = outcomes(&output).pop().unwrap_or_else(|| panic!("{size}: {output:?}"));
        if outcome["outcome"] == "answered" {
            continue;
        }
        full += 1;
        let said = format!("{} {}", outcome["error"], outcome["hint"]);
        assert!(
            // The broker keeps the reason to itself when it cannot make a stream; then the hint names the disk.
            ["No space left on device", "no space left on device", "a disk that is not full"]
                .iter()
                .any(|words| said.contains(words)),
            "{size}: {said}"
        );
        assert_ne!(size, "8m", "that is room enough: {said}");
    }
    assert!(1 < full, "the small disks were not small enough");
}

#[test]
fn a_disk_that_fills_up_costs_memory_and_no_answer_and_all_is_well_when_there_is_room_again() {
    let system = System::at_rest(Options::default());
    let lines = format!(
        r#"running --json up > "$state/up" 2>/dev/null & up=$!
        until grep -q ready "$state/up"; do sleep 0.05; done
        fares() {{ secgpt ask --json "{FARES}" 2>/dev/null; }}
        fares
        head -c 9000000 /dev/zero > "$state/big" 2>/dev/null
        fares; fares
        n=0; until secgpt memory show 2>&1 | grep '^error' >&2 || [ $n = 50 ]; do n=$((n+1)); sleep 0.1; done
        fares
        rm "$state/big"
        n=0; until secgpt memory show >/dev/null 2>&1 || [ $n = 50 ]; do n=$((n+1)); sleep 0.1; done
        fares
        echo kept $(secgpt memory show 2>/dev/null | grep -c 'user Use both') >&2
        kill -TERM $up; wait $up"#
    );
    let output = on_a_disk_of("4m", IN_A_NAMESPACE, &system, &lines);
    let outcomes = outcomes(&output);
    assert_eq!(outcomes.len(), 5, "{output:?}");
    for outcome in &outcomes {
        assert_eq!(outcome["outcome"], "answered", "{outcome}");
        assert_eq!(outcome["results"][0]["value"]["fare"], 51.8);
    }
    // Whoever asks on a full disk is told that it will not be remembered; before and after, nothing is said.
    let hint = |index: usize| outcomes[index]["hint"].as_str().unwrap_or_default();
    assert!(hint(3).contains("nothing of this query was remembered"), "{:#}", outcomes[3]);
    assert_eq!((hint(0), hint(4)), ("", ""));
    let said = String::from_utf8_lossy(&output.stderr);
    let line = |begin: &str| said.lines().find(|line| line.starts_with(begin)).unwrap_or_default();
    assert!(line("error").contains("conversation memory"), "{said}");
    let kept: Option<u32> = line("kept").trim_start_matches("kept ").parse().ok();
    assert!(kept.is_some_and(|kept| 2 <= kept), "{said}");
}

#[test]
fn a_first_start_that_a_full_disk_cut_short_is_tried_again_with_room_and_works() {
    let mut cut = 0;
    // Each leaves off at another place: the keys, the broker's files, the store's.
    for size in [8, 24, 40, 56] {
        let system = System::at_rest(Options::default());
        let ask = "secgpt ask --json --private 'What is the capital of France?' 2>/dev/null";
        // All but so many KiB is taken; an ordinary user may not make a disk larger.
        let taken = (16 << 10) - size;
        let lines = format!(
            "head -c {taken}k /dev/zero > \"$state/big\" 2>/dev/null\n{ask}\nrm \"$state/big\"\n{ask}"
        );
        let output = on_a_disk_of("16m", IN_A_NAMESPACE, &system, &lines);
        let outcomes = outcomes(&output);
        assert_eq!(outcomes.len(), 2, "{size}: {output:?}");
        cut += u32::from(outcomes[0]["outcome"] != "answered");
        assert_eq!(outcomes[1]["outcome"], "answered", "{size}: {:#}", outcomes[1]);
    }
    assert!(1 < cut, "the small disks were not small enough");
}

/// A permission "for always" that cannot be written down holds for this once, and whoever gave it is told.
#[test]
fn always_on_a_full_disk_holds_once_and_says_so() {
    let system = System::at_rest(Options::default());
    // The answer `a`, always, to the one prompt; then the same without anybody there.
    let lines = r#"running --json up > "$state/up" 2>/dev/null & up=$!
        until grep -q ready "$state/up"; do sleep 0.05; done
        write='plan: {"answer":null,"steps":[{"id":"s1","kind":"call","functionality":"mail.create_draft","args":{"to":["dana\u0040x.example"],"subject":"Hi","body":"Hello"},"after":[]}]}'
        head -c 9000000 /dev/zero > "$state/big" 2>/dev/null
        printf '%s\na\n/exit\n' "$write" | secgpt --json chat --consent ask 2>/dev/null
        rm "$state/big"
        n=0; until secgpt memory show >/dev/null 2>&1 || [ $n = 50 ]; do n=$((n+1)); sleep 0.1; done
        secgpt grants list --json
        kill -TERM $up; wait $up
        running --json up > "$state/again" 2>/dev/null & up=$!
        until grep -q ready "$state/again"; do sleep 0.05; done
        printf '%s\na\n/exit\n' "$write" | secgpt --json chat --consent ask 2>/dev/null
        secgpt grants list --json
        kill -TERM $up; wait $up"#;
    let output = on_a_disk_of("4m", IN_A_NAMESPACE, &system, lines);
    let said = outcomes(&output);
    assert_eq!(said.len(), 4, "{output:?}");
    let flow = |outcome: &Value| {
        let flow = &outcome["flows"][0];
        assert_eq!(
            (&flow["to"], &flow["decision"], &flow["by"]),
            (&"mail.create_draft".into(), &"allow".into(), &"user".into()),
            "{outcome:#}"
        );
        flow["reason"].as_str().unwrap().to_owned()
    };
    assert!(flow(&said[0]).contains("could not be stored; it holds for this once"), "{:#}", said[0]);
    assert_eq!(said[1], Value::Array(vec![]), "nothing is in force that is not stored");
    // Control: with room, it is kept. The broker writes again when it is started again.
    assert_eq!(flow(&said[2]), "You allowed it for always.", "{:#}", said[2]);
    assert_eq!(said[3].as_array().map(Vec::len), Some(1), "{:#}", said[3]);
}

#[test]
fn without_user_namespaces_no_spoke_starts_and_the_setting_is_named() {
    let system = System::at_rest(Options::default());
    let asks = format!("secgpt ask --json --private \"{FARES}\" 2>/dev/null");
    let without = format!("echo 0 > /proc/sys/user/max_user_namespaces\n{asks}");
    let output = on_a_disk_of("8m", IN_A_NAMESPACE, &system, &without);
    let outcome = outcomes(&output).pop().unwrap_or_else(|| panic!("{output:?}"));
    assert_eq!(outcome["outcome"], "failed", "{outcome}");
    assert_eq!(outcome["model_calls"]["spokes"], 0, "no spoke came to work");
    let said = outcome["error"].as_str().unwrap();
    for words in
        ["user namespace", "user.max_user_namespaces is 0", "run: sysctl -w user.max_user_namespaces"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    for app in ["metro_hail.estimate_fare", "quick_ride.estimate_fare", "user.max_user_namespaces is 0"] {
        assert_eq!(said.matches(app).count(), 1, "once, and not for each app: {said}");
    }
    // Control: in the same place, with namespaces, both apps answer.
    let output = on_a_disk_of("8m", IN_A_NAMESPACE, &system, &asks);
    let outcome = outcomes(&output).pop().unwrap_or_else(|| panic!("{output:?}"));
    assert_eq!(outcome["outcome"], "answered", "{outcome}");
}

#[test]
fn root_that_cannot_become_another_user_starts_no_spoke_and_is_told_what_to_do() {
    let system = System::at_rest(Options::default());
    let output = on_a_disk_of(
        "8m",
        ROOT_ALONE,
        &system,
        &format!("secgpt ask --json --private \"{FARES}\" 2>/dev/null"),
    );
    let outcome = outcomes(&output).pop().unwrap_or_else(|| panic!("{output:?}"));
    assert_eq!((&outcome["outcome"], &outcome["model_calls"]["spokes"]), (&"failed".into(), &0.into()));
    assert!(
        outcome["error"].as_str().unwrap().contains("run the host as an ordinary user instead"),
        "{outcome}"
    );
}
