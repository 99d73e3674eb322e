//! Tries from inside what an attacker would try.
//!
//! Answers: does this act work here? One line of JSON for each: `{"act","ok","errno","detail"}`, where
//! `ok` means that the attacker got what it wanted.
//! Never: is shipped to users. It does nothing to the machine that outlives it, whether confined or not.
//!
//! ```text
//! hostile-probe list                       the acts
//! hostile-probe all [key=value …]          every act, each in a process of its own
//! hostile-probe <act> [key=value …]        one act
//! hostile-probe spoke <act> [key=value …]  confines itself as a spoke first
//! hostile-probe app <spec>                 the launcher of an app jail, as `jail::app::start_with` calls it
//! hostile-probe jailed <spec>              starts an app jail as a spoke does; prints its output and events
//! hostile-probe explain                    the layers in order, as the README has them
//! hostile-probe doctor                     what this machine can enforce
//! hostile-probe report spoke|app <pid>     what the kernel says of a process, and what is missing
//! ```

mod acts;

use acts::{ACTS, NOT_IN_ALL, Targets};
use jail::Role;
use jail::app::AppSpec;
use jail::report::{Namespaces, Report};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("app") => return app(arguments.get(1)),
        Some("jailed") => return jailed(arguments.get(1)),
        Some("report") => return report(&arguments),
        Some("explain") => {
            explain(Role::Spoke);
            println!("---");
            explain(Role::App);
            return ExitCode::SUCCESS;
        }
        Some("doctor") => {
            for feature in jail::probe::features() {
                say(&serde_json::json!(feature));
            }
            return ExitCode::SUCCESS;
        }
        Some("spoke") => {
            arguments.remove(0);
            if let Err(error) = confine() {
                eprintln!("{}", error.line());
                return ExitCode::from(126);
            }
        }
        _ => (),
    }
    let Some((name, rest)) = arguments.split_first() else {
        eprintln!("hostile-probe list | all | <act> [key=value …]");
        return ExitCode::from(2);
    };
    let targets = Targets(
        rest.iter()
            .filter_map(|argument| argument.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
    );
    match name.as_str() {
        "list" if rest.is_empty() => {
            for (name, _) in ACTS {
                println!("{name}");
            }
            ExitCode::SUCCESS
        }
        "all" => all(rest),
        name => one(name, &targets),
    }
}

fn one(name: &str, targets: &Targets) -> ExitCode {
    let Some((_, act)) = ACTS.iter().find(|(known, _)| *known == name) else {
        eprintln!("there is no act {name}");
        return ExitCode::from(2);
    };
    let outcome = act(targets);
    let (ok, errno, detail) = match outcome {
        Ok(detail) => (true, None, detail),
        Err(error) => (false, error.raw_os_error(), error.to_string()),
    };
    say(&serde_json::json!({"act": name, "ok": ok, "errno": errno, "detail": detail}));
    ExitCode::from(u8::from(!ok))
}

fn all(targets: &[String]) -> ExitCode {
    for (name, _) in ACTS.iter().filter(|(name, _)| !NOT_IN_ALL.contains(name)) {
        let ended = Command::new("/proc/self/exe").arg(name).args(targets).stdin(Stdio::null()).status();
        use std::os::unix::process::ExitStatusExt;
        match ended {
            Ok(status) => {
                if let Some(signal) = status.signal() {
                    say(&serde_json::json!({"act": name, "ok": false, "errno": null,
                        "detail": format!("ended by signal {signal}")}));
                }
            }
            Err(error) => say(&serde_json::json!({"act": name, "ok": false,
                "errno": error.raw_os_error(), "detail": "could not be tried"})),
        }
    }
    ExitCode::SUCCESS
}

fn say(line: &serde_json::Value) {
    // With nobody to read it there is nothing left to do.
    let _ = std::io::stdout().write_all(format!("{line}\n").as_bytes());
}

/// As the spoke does it.
fn confine() -> Result<(), jail::Error> {
    jail::prepare(None, &[])?;
    let limits = jail::limits::SpokeLimits::standard();
    jail::limits::apply_spoke(&limits)?;
    jail::confine::spoke(&limits).map(drop)
}

fn app(spec: Option<&String>) -> ExitCode {
    match spec.map(|text| serde_json::from_str(text)) {
        Some(Ok(spec)) => jail::app::run(spec),
        Some(Err(error)) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
        None => ExitCode::from(2),
    }
}

/// Starts an app as a spoke does. Lines of the program and events of the jail go to standard output,
/// what the program writes to standard error goes there; standard input goes to the program.
fn jailed(spec: Option<&String>) -> ExitCode {
    let started = spec
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or_else(|| "no spec".to_owned())
        .and_then(|spec: AppSpec| {
            jail::app::start_with(Path::new("/proc/self/exe"), &["app"], &spec).map_err(|error| error.line())
        });
    let mut app = match started {
        Ok(app) => app,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    std::thread::scope(|scope| {
        if let Some(mut input) = app.child.stdin.take() {
            // Not waited for: the program may end while nobody writes to it.
            std::thread::spawn(move || std::io::copy(&mut std::io::stdin(), &mut input));
        }
        let output = app.child.stdout.take();
        scope.spawn(move || output.map(|mut output| std::io::copy(&mut output, &mut std::io::stdout())));
        let errors = app.child.stderr.take();
        scope.spawn(move || errors.map(|mut errors| std::io::copy(&mut errors, &mut std::io::stderr())));
        for line in BufReader::new(&app.control).lines().map_while(Result::ok) {
            println!("{line}");
        }
    });
    match app.child.wait() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// As the host does it.
fn report(arguments: &[String]) -> ExitCode {
    let pid = arguments.get(2).and_then(|pid| pid.parse().ok());
    let (role, pid) = match (arguments.get(1).map(String::as_str), pid) {
        (Some("spoke"), Some(pid)) => (Role::Spoke, Ok(Some(pid))),
        (Some("app"), Some(pid)) => (Role::App, jail::report::app_of(pid)),
        _ => return ExitCode::from(2),
    };
    let read = pid.and_then(|pid| match pid {
        Some(pid) => Ok((Report::read(pid)?, Namespaces::own()?)),
        None => Report::read(0).map(|report| (report, Namespaces::default())),
    });
    match read {
        Ok((report, own)) => {
            let missing = report.missing(role, &own);
            say(&serde_json::json!({"report": report, "missing": missing}));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{} ({})", error.line(), error.hint().unwrap_or("no hint"));
            ExitCode::FAILURE
        }
    }
}

fn explain(role: Role) {
    for (at, (layer, what)) in jail::explain(role).iter().enumerate() {
        println!("{}. *{layer}* — {what}", at + 1);
    }
}
