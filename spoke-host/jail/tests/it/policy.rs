//! Tests generated from the policy files: each rule, each condition, each refusal.

use jail::seccomp::policy::{Condition, Policy, Test, Width, errno};
use jail::seccomp::{APP_POLICY, Filter, SPOKE_POLICY, call_number};
use jail::sys::{Attempt, attempt};

const SIGSYS: i32 = 31;

/// What the written policy says about a call.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Passes,
    Errno(i32),
    Dies,
}

fn holds(condition: &Condition, args: &[u64; 6]) -> bool {
    let seen = |value: u64| match condition.width {
        Width::Dword => value & 0xffff_ffff,
        Width::Qword => value,
    };
    let arg = seen(args[usize::from(condition.arg)]);
    match condition.test().unwrap() {
        Test::Is { mask, value } => arg & mask.unwrap_or(u64::MAX) == seen(value),
        Test::NoneOf(values) => !values.iter().any(|value| seen(*value) == arg),
    }
}

fn verdict(policy: &Policy, call: &str, args: &[u64; 6]) -> Verdict {
    let matches = |calls: &[String], when: &[Condition]| {
        calls.iter().any(|known| known == call) && when.iter().all(|one| holds(one, args))
    };
    if let Some(rule) = policy.errno.iter().find(|rule| matches(&rule.calls, &rule.when)) {
        return Verdict::Errno(errno(&rule.errno).unwrap().into());
    }
    if policy.allow.iter().any(|rule| matches(&rule.calls, &rule.when)) {
        return Verdict::Passes;
    }
    Verdict::Dies
}

fn policies() -> [(Policy, Filter); 2] {
    [
        (Policy::parse(SPOKE_POLICY).unwrap(), Filter::spoke()),
        (Policy::parse(APP_POLICY).unwrap(), Filter::app()),
    ]
}

#[track_caller]
fn check(policy: &Policy, filter: Filter, call: &str, args: [u64; 6]) {
    let Some(number) = call_number(call) else {
        // Of another architecture.
        return;
    };
    let outcome = attempt(Some(filter), number, args).unwrap();
    match verdict(policy, call, &args) {
        Verdict::Passes => {
            // It may have ended otherwise: a new process may send any signal at its end.
            assert_ne!(outcome, Attempt::Killed(SIGSYS), "{call}{args:x?} should pass");
        }
        Verdict::Errno(code) => assert_eq!(outcome, Attempt::Returned(code), "{call}{args:x?}"),
        Verdict::Dies => assert_eq!(outcome, Attempt::Killed(SIGSYS), "{call}{args:x?}"),
    }
}

/// Values for an argument on both sides of a condition, with bits the kernel does not look at.
fn values(condition: &Condition) -> Vec<u64> {
    let mut values = vec![0, 1, 0x7fff_ffff, 0xffff_fff0];
    match condition.test().unwrap() {
        Test::Is { mask, value } => {
            values.extend([value, value ^ 1, value ^ 8, value.wrapping_add(1), value | 1 << 40]);
            if let Some(mask) = mask {
                // Only the bits that are compared decide.
                values.extend([value | !mask & 0xff00, mask, value ^ mask]);
            }
        }
        Test::NoneOf(listed) => {
            for value in listed {
                values.extend([value, value + 1, value | 1 << 40]);
            }
        }
    }
    values.sort_unstable();
    values.dedup();
    values
}

/// Arguments with which all conditions of a rule hold.
fn satisfying(when: &[Condition]) -> [u64; 6] {
    let mut args = [0; 6];
    for condition in when {
        args[usize::from(condition.arg)] = match condition.test().unwrap() {
            Test::Is { value, .. } => value,
            Test::NoneOf(listed) => listed.iter().max().unwrap() + 1,
        };
    }
    args
}

#[test]
fn each_condition_passes_what_it_says_and_kills_for_the_rest() {
    for (policy, filter) in policies() {
        let mut tried = 0;
        let allow = policy.allow.iter().map(|rule| (&rule.calls, &rule.when));
        let answered = policy.errno.iter().map(|rule| (&rule.calls, &rule.when));
        for (calls, when) in allow.chain(answered).filter(|(_, when)| !when.is_empty()) {
            for call in calls {
                let good = satisfying(when);
                check(&policy, filter, call, good);
                for condition in when {
                    let mut died = false;
                    for value in values(condition) {
                        let mut args = good;
                        args[usize::from(condition.arg)] = value;
                        check(&policy, filter, call, args);
                        died |= verdict(&policy, call, &args) != Verdict::Passes;
                        tried += 1;
                    }
                    assert!(died, "no value of argument {} of {call} is refused", condition.arg);
                }
            }
        }
        assert!(20 < tried, "{tried}");
    }
}

#[test]
fn each_refused_call_dies_and_reaches_the_kernel_without_the_filter() {
    // Without arguments, so that unfiltered they come back with an error. Left out of the control are
    // those that would do something: they change this process only, which ends at once.
    for (policy, filter) in policies() {
        for refusal in &policy.refuse {
            for call in &refusal.calls {
                let Some(number) = call_number(call) else {
                    assert!(refusal.only_on.is_some(), "{call} has no number");
                    continue;
                };
                // A descriptor that is not open and an address that is not mapped, where either is taken.
                let nowhere = [u64::MAX, u64::MAX, 0, 0, 0, 0];
                if !matches!(call.as_str(), "vhangup" | "reboot" | "kill") {
                    let control = attempt(None, number, nowhere).unwrap();
                    assert!(matches!(control, Attempt::Returned(_)), "{call} outside: {control:?}");
                }
                let inside = attempt(Some(filter), number, nowhere).unwrap();
                assert_eq!(inside, Attempt::Killed(SIGSYS), "{call}");
            }
        }
    }
}

#[test]
fn each_answered_call_gets_its_error() {
    for (policy, filter) in policies() {
        for rule in policy.errno.iter().filter(|rule| rule.when.is_empty()) {
            for call in &rule.calls {
                check(&policy, filter, call, [0; 6]);
            }
        }
    }
}

#[test]
fn a_call_nobody_has_heard_of_dies() {
    for (_, filter) in policies() {
        for number in [999, 5000, 0x4000_0000] {
            assert_eq!(attempt(Some(filter), number, [0; 6]).unwrap(), Attempt::Killed(SIGSYS), "{number}");
        }
    }
}

#[test]
fn an_empty_filter_cannot_be_built() {
    let empty = r#"{"description":"","default":"kill_process","allow":[],"errno":[],"refuse":[]}"#;
    assert!(Policy::parse(empty).is_err());
    let lax = r#"{"description":"","default":"allow","allow":[],"errno":[],"refuse":[]}"#;
    assert!(Policy::parse(lax).is_err());
    for (_, filter) in policies() {
        assert!(2 <= filter.programs());
    }
}

#[test]
fn a_rule_without_a_reason_or_with_an_unknown_word_does_not_build() {
    let with = |rule: &str| {
        format!(r#"{{"description":"","default":"kill_process","allow":[{rule}],"errno":[],"refuse":[]}}"#)
    };
    assert!(Policy::parse(&with(r#"{"calls":["read"],"reason":"input"}"#)).is_ok());
    assert!(Policy::parse(&with(r#"{"calls":["read"],"reason":" "}"#)).is_err());
    assert!(Policy::parse(&with(r#"{"calls":["read"]}"#)).is_err());
    assert!(Policy::parse(&with(r#"{"calls":[],"reason":"input"}"#)).is_err());
    assert!(Policy::parse(&with(r#"{"calls":["read"],"reason":"x","extra":1}"#)).is_err());
    assert!(
        Policy::parse(&with(r#"{"calls":["read"],"reason":"x","when":[{"arg":0,"is":"NOPE"}]}"#)).is_err()
    );
    assert!(Policy::parse(&with(r#"{"calls":["read"],"reason":"x","when":[{"arg":0}]}"#)).is_err());
    let both = r#"{"description":"","default":"kill_process","allow":[{"calls":["read"],"reason":"x"}],"errno":[],
        "refuse":[{"calls":["read"],"reason":"x"}]}"#;
    assert!(Policy::parse(both).is_err());
}
