//! Compiles the system call policies.
//!
//! Answers: which filter programs belong to `policy/seccomp/*.json` on the target architecture?
//! Never: fills in a rule, or builds a weaker filter for another profile; a policy that is wrong
//! does not build.
//! Carries: I-11.

#[path = "src/seccomp/policy.rs"]
#[allow(dead_code)]
mod policy;

use policy::{Arch, Condition, Policy, Test, Width};
use seccompiler::{BpfProgram, TargetArch};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;

/// `SECCOMP_RET_*` of the kernel's interface.
const RET_KILL_PROCESS: u32 = 0x8000_0000;
const RET_TRAP: u32 = 0x0003_0000;
const RET_USER_NOTIF: u32 = 0x7fc0_0000;
/// `BPF_RET | BPF_K`.
const BPF_RETURN: u16 = 0x06;
/// `BPF_JMP | BPF_JEQ | BPF_K`.
const BPF_JUMP_EQUAL: u16 = 0x15;
/// Load the architecture, compare it, kill on another one: these stay as they are in every variant.
const ARCHITECTURE_CHECK: usize = 3;
/// The kernel's limit for one program.
const MAX_PROGRAM: usize = 4096;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/seccomp/policy.rs");
    let (arch, target) = match std::env::var("CARGO_CFG_TARGET_ARCH")?.as_str() {
        "x86_64" => (Arch::X86_64, TargetArch::x86_64),
        "aarch64" => (Arch::Aarch64, TargetArch::aarch64),
        other => return Err(format!("there is no system call policy for {other}").into()),
    };

    // A policy that is wrong on the other architecture does not build here either.
    let other = match arch {
        Arch::X86_64 => (Arch::Aarch64, TargetArch::aarch64),
        Arch::Aarch64 => (Arch::X86_64, TargetArch::x86_64),
    };
    let mut out = String::new();
    let mut names = BTreeMap::new();
    for (file, constant, report) in [("spoke", "SPOKE", RET_TRAP), ("app", "APP", RET_USER_NOTIF)] {
        let path = format!("policy/seccomp/{file}.json");
        println!("cargo::rerun-if-changed={path}");
        let policy =
            Policy::parse(&std::fs::read_to_string(&path)?).map_err(|what| format!("{path}: {what}"))?;
        emit(&mut out, constant, &policy, arch, target, report).map_err(|what| format!("{path}: {what}"))?;
        emit(&mut String::new(), constant, &policy, other.0, other.1, report)
            .map_err(|what| format!("{path}: {what}"))?;
        for name in every_name(&policy, arch) {
            names.insert(call_number(&name, target)?, name);
        }
    }
    writeln!(out, "/// Every call that a policy names.")?;
    writeln!(out, "pub(super) static NAMES: &[(u32, &str)] = &[")?;
    for (number, name) in names {
        writeln!(out, "    ({number}, {name:?}),")?;
    }
    writeln!(out, "];")?;
    let dir = std::env::var("OUT_DIR")?;
    std::fs::write(format!("{dir}/filters.rs"), out)?;
    Ok(())
}

/// Writes the programs of one policy: one that kills, the same one with its default replaced by the
/// action that lets us learn which call it was, and one for each error.
fn emit(
    out: &mut String,
    constant: &str,
    policy: &Policy,
    arch: Arch,
    target: TargetArch,
    report: u32,
) -> Result<(), Box<dyn Error>> {
    let mut allow = Vec::new();
    let mut errors: BTreeMap<u16, Vec<Value>> = BTreeMap::new();
    for rule in &policy.allow {
        if rule.only_on.is_none_or(|only| only == arch) {
            add(&mut allow, &rule.calls, &rule.when)?;
        }
    }
    // A call that is answered with an error has to pass the main program: of several programs the
    // strictest answer wins, and an error is less strict than a kill.
    for rule in &policy.errno {
        add(&mut allow, &rule.calls, &rule.when)?;
        let number = policy::errno(&rule.errno).ok_or("no such error")?;
        add(errors.entry(number).or_default(), &rule.calls, &rule.when)?;
    }
    let main = compile(&allow, json!("kill_process"), json!("allow"), target)?;
    let mut reporting = main.clone();
    for instruction in reporting.iter_mut().skip(ARCHITECTURE_CHECK) {
        if instruction.code == BPF_RETURN && instruction.k == RET_KILL_PROCESS {
            instruction.k = report;
        }
    }
    write_program(out, &format!("{constant}_KILL"), &main)?;
    write_program(out, &format!("{constant}_REPORT"), &reporting)?;
    // Each program is installed with the call `seccomp`. Where that is itself answered with an error,
    // the program that does so has to be the last of all, and the main program, which lets it pass,
    // the first; where the main program kills for it, that one has to be the last.
    let installs = |rules: &[Value]| rules.iter().any(|rule| rule["syscall"] == "seccomp");
    let main_first = errors.values().any(|rules| installs(rules));
    let mut errors: Vec<(u16, Vec<Value>)> = errors.into_iter().collect();
    errors.sort_by_key(|(_, rules)| installs(rules));
    let mut list = String::new();
    for (number, rules) in errors {
        let program = compile(&rules, json!("allow"), json!({ "errno": number }), target)?;
        write_program(out, &format!("{constant}_ERRNO_{number}"), &program)?;
        write!(list, "&{constant}_ERRNO_{number}, ")?;
    }
    writeln!(out, "pub(super) static {constant}_ERRORS: &[&[sock_filter]] = &[{list}];")?;
    writeln!(out, "pub(super) static {constant}_MAIN_FIRST: bool = {main_first};")?;
    Ok(())
}

/// Adds rules in the compiler's own form.
fn add(rules: &mut Vec<Value>, calls: &[String], when: &[Condition]) -> Result<(), String> {
    let mut args = Vec::new();
    for condition in when {
        let width = match condition.width {
            Width::Dword => "dword",
            Width::Qword => "qword",
        };
        match condition.test()? {
            Test::Is { mask: None, value } => {
                args.push(json!({"index": condition.arg, "type": width, "op": "eq", "val": value}));
            }
            Test::Is { mask: Some(mask), value } => args.push(json!({
                "index": condition.arg, "type": width, "op": {"masked_eq": mask}, "val": value
            })),
            Test::NoneOf(values) => {
                for value in values {
                    args.push(json!({"index": condition.arg, "type": width, "op": "ne", "val": value}));
                }
            }
        }
    }
    for call in calls {
        rules.push(if args.is_empty() {
            json!({ "syscall": call })
        } else {
            json!({ "syscall": call, "args": args })
        });
    }
    Ok(())
}

fn compile(
    rules: &[Value],
    mismatch: Value,
    matched: Value,
    target: TargetArch,
) -> Result<BpfProgram, Box<dyn Error>> {
    // Otherwise the compiler would let the call without conditions win, or the one with them,
    // depending on order: say it here, where the file can be named.
    let bare: BTreeSet<&str> = rules
        .iter()
        .filter(|rule| rule.get("args").is_none())
        .filter_map(|rule| rule.get("syscall").and_then(Value::as_str))
        .collect();
    let mut seen = BTreeSet::new();
    for rule in rules {
        let call = rule.get("syscall").and_then(Value::as_str).unwrap_or("");
        if bare.contains(call) && !seen.insert(call) {
            return Err(format!("{call} is listed twice").into());
        }
    }
    let source = json!({"main": {
        "mismatch_action": mismatch, "match_action": matched, "filter": rules
    }});
    let mut programs = seccompiler::compile_from_json(source.to_string().as_bytes(), target)?;
    let program = programs.remove("main").ok_or("no program")?;
    if program.len() <= ARCHITECTURE_CHECK || MAX_PROGRAM < program.len() {
        return Err(format!("a program of {} instructions", program.len()).into());
    }
    Ok(program)
}

fn write_program(out: &mut String, name: &str, program: &BpfProgram) -> std::fmt::Result {
    writeln!(out, "pub(super) static {name}: [sock_filter; {}] = [", program.len())?;
    for instruction in program {
        writeln!(
            out,
            "    sock_filter {{ code: {}, jt: {}, jf: {}, k: {} }},",
            instruction.code, instruction.jt, instruction.jf, instruction.k
        )?;
    }
    writeln!(out, "];")
}

fn every_name(policy: &Policy, arch: Arch) -> BTreeSet<String> {
    let here = |only: &Option<Arch>| only.is_none_or(|only| only == arch);
    let mut names = BTreeSet::new();
    for rule in policy.allow.iter().filter(|rule| here(&rule.only_on)) {
        names.extend(rule.calls.iter().cloned());
    }
    for rule in &policy.errno {
        names.extend(rule.calls.iter().cloned());
    }
    for rule in policy.refuse.iter().filter(|rule| here(&rule.only_on)) {
        names.extend(rule.calls.iter().cloned());
    }
    names
}

/// The number of a call, taken from a program compiled for it alone, so that there is one table.
fn call_number(name: &str, target: TargetArch) -> Result<u32, Box<dyn Error>> {
    let rules = [json!({ "syscall": name })];
    let program = compile(&rules, json!("kill_process"), json!("allow"), target)?;
    program
        .iter()
        .skip(ARCHITECTURE_CHECK)
        .find(|instruction| instruction.code == BPF_JUMP_EQUAL)
        .map(|instruction| instruction.k)
        .ok_or_else(|| format!("{name}: no comparison in its program").into())
}
