//! `secgpt doctor`: what this machine can enforce, and what is missing.
//!
//! Answers: will a spoke start here, and if not, what is to be done?
//! Never: changes anything.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::{print, print_json};
use crate::cli::Global;
use crate::config::Config;
use crate::error::Error;
use crate::provider;
use crate::show::clean;
use crate::show::paint::Paint;
use crate::supervisor::{self, Server, find_server, program, server_version};

/// One thing that was looked at.
#[derive(Debug, Serialize, Deserialize)]
struct Finding {
    feature: String,
    ok: bool,
    #[serde(default = "yes")]
    required: bool,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    hint: Option<String>,
}

fn yes() -> bool {
    true
}

/// Trying every layer starts some processes.
const PROBE: Duration = Duration::from_secs(30);

impl Finding {
    fn good(feature: &str, detail: impl Into<String>) -> Self {
        Self { feature: feature.into(), ok: true, required: true, detail: detail.into(), hint: None }
    }

    fn bad(feature: &str, detail: impl Into<String>, hint: Option<&str>) -> Self {
        Self {
            feature: feature.into(),
            ok: false,
            required: true,
            detail: detail.into(),
            hint: hint.map(str::to_owned),
        }
    }

    fn from_error(feature: &str, error: &Error) -> Self {
        Self::bad(feature, error.line(), error.way_out())
    }

    fn optional(mut self) -> Self {
        self.required = false;
        self
    }
}

/// Looks at everything. The exit code is 1 if something that is needed is missing.
///
/// # Errors
/// None of its own: what is wrong is a finding.
pub async fn run(config: &Config, global: &Global) -> Result<u8, Error> {
    let mut groups = vec![("what the kernel can enforce", kernel().await)];
    groups.push(("programs", programs(config).await));
    groups.push(("the model", model(config).await));
    groups.push(("this installation", installation(config)));
    let missing =
        groups.iter().flat_map(|(_, findings)| findings).any(|finding| finding.required && !finding.ok);
    if global.json {
        let all: Vec<&Finding> = groups.iter().flat_map(|(_, findings)| findings).collect();
        print_json(&all)?;
        return Ok(u8::from(missing));
    }
    let paint = Paint::stdout(global.color);
    for (title, findings) in &groups {
        print(&format!("{}\n", paint.bold(title)));
        for finding in findings {
            let mark = match (finding.ok, finding.required) {
                (true, _) => paint.good("ok     "),
                (false, true) => paint.bad("MISSING"),
                (false, false) => paint.warning("absent "),
            };
            print(&format!(
                "  {mark}  {:<40} {}\n",
                clean::line(&finding.feature, 80),
                clean::line(&finding.detail, 300)
            ));
            if let (false, Some(hint)) = (finding.ok, &finding.hint) {
                print(&format!("           {} {}\n", paint.bold("hint:"), clean::line(hint, 500)));
            }
        }
    }
    print(if missing {
        "\nSomething is missing: see the hints.\n"
    } else {
        "\nEverything that is needed is there.\n"
    });
    Ok(u8::from(missing))
}

async fn kernel() -> Vec<Finding> {
    let probe = async {
        let program = program(supervisor::HOST)?;
        let failed = || {
            Error::failed("the probe of spoke-host gave nothing").hint("run `spoke-host probe` to see why")
        };
        let run = Command::new(program).arg("probe").stdin(Stdio::null()).kill_on_drop(true).output();
        let output = tokio::time::timeout(PROBE, run)
            .await
            .map_err(|_| failed().because("it did not end in time"))?
            .map_err(|error| failed().because(error))?;
        serde_json::from_slice::<Vec<Finding>>(&output.stdout).map_err(|error| failed().because(error))
    };
    match probe.await {
        Ok(findings) => findings,
        Err(error) => vec![Finding::from_error("probe", &error)],
    }
}

async fn programs(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in
        [supervisor::HUB, supervisor::LLM, supervisor::EGRESS, supervisor::HOST, "spoke", "example-app"]
    {
        findings.push(match program(name) {
            Ok(path) => Finding::good(name, path.display().to_string()),
            Err(error) => Finding::from_error(name, &error),
        });
    }
    let servers = [
        (Server::Nats, supervisor::BROKER, &config.bus.server, &config.bus.url),
        (Server::Redis, supervisor::STORE, &config.memory.server, &config.memory.url),
    ];
    for (server, name, named, elsewhere) in servers {
        if elsewhere.is_some() {
            findings.push(Finding::good(name, "not needed: the settings name one that runs already"));
            continue;
        }
        findings.push(match find_server(server, named.as_deref(), &config.data_dir).await {
            Ok(path) => match server_version(&path).await {
                Some((major, minor)) => Finding::good(name, format!("{major}.{minor} at {}", path.display())),
                None => Finding::bad(name, format!("{} does not run here", path.display()), None),
            },
            Err(error) => Finding::from_error(name, &error),
        });
    }
    findings
}

async fn model(config: &Config) -> Vec<Finding> {
    let choice = match provider::choose(&config.model).await {
        Ok(choice) => choice,
        Err(error) => return vec![Finding::from_error("model", &error)],
    };
    let mut findings = vec![Finding::good("model", choice.said.clone())];
    if let Some(url) = &choice.base_url {
        findings.push(match provider::models(url, choice.key.as_ref(), Duration::from_secs(10)).await {
            Ok(models) if models.contains(&choice.model) => {
                Finding::good("model server", "answers, and offers the model")
            }
            Ok(models) => Finding::bad(
                "model server",
                format!("answers, but does not list {}", choice.model),
                Some(&format!("it lists {}", models.into_iter().take(12).collect::<Vec<_>>().join(", "))),
            )
            .optional(),
            Err(error) => Finding::from_error("model server", &error),
        });
    }
    findings
}

fn installation(config: &Config) -> Vec<Finding> {
    let mut findings = vec![
        match &config.file {
            Some(file) => Finding::good("settings", file.display().to_string()),
            None => Finding::good("settings", "no file; the usual settings"),
        },
        Finding::good("data", config.data_dir.display().to_string()),
        state(&config.state_dir),
    ];
    let (apps, errors) = super::apps::installed(config);
    findings.push(Finding::good("apps", format!("{} installed", apps.len())));
    findings.extend(errors.iter().map(|error| Finding::bad("app", error.clone(), None)));
    findings
}

fn state(dir: &Path) -> Finding {
    match dir.metadata() {
        Err(_) => Finding::good("state", format!("{} (not there yet)", dir.display())),
        Ok(found) if found.uid() != nix::unistd::geteuid().as_raw() => Finding::bad(
            "state",
            format!("{} belongs to somebody else", dir.display()),
            Some("name another folder with --state"),
        ),
        Ok(found) if found.permissions().mode() & 0o077 != 0 => Finding::bad(
            "state",
            format!("others may look into {}", dir.display()),
            Some(&format!("chmod 700 {}", dir.display())),
        ),
        Ok(_) => Finding::good("state", dir.display().to_string()),
    }
}
