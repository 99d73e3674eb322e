//! Who may use whom, held against the resolved graph of dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;
use system_tests::bundle::workspace;

use crate::tree::none;

/// Our crates, and which of ours each may use.
const OURS: [(&str, &[&str]); 13] = [
    ("bus", &[]),
    ("jail", &[]),
    ("example-apps", &[]),
    ("manifest", &["bus"]),
    ("policy", &["bus"]),
    ("spoke", &["bus", "jail"]),
    ("spoke-host", &["bus", "jail", "manifest"]),
    ("gateway", &["bus"]),
    ("llm-gateway", &["bus", "gateway"]),
    ("egress-gateway", &["bus", "gateway", "manifest"]),
    ("hub-actor", &["bus", "manifest", "policy"]),
    // Starts the others as processes; uses jail only to say what the kernel offers (`doctor`), and policy to check and
    // explain rules with no hub at work; uses spoke for what speaks as a spoke does: the baseline, which calls web APIs, and
    // `apps add`, which asks a server on the web what it offers.
    ("runtime", &["bus", "jail", "manifest", "policy", "spoke"]),
    // All of them, as whoever tests them needs.
    (
        "system-tests",
        &[
            "bus",
            "jail",
            "manifest",
            "policy",
            "hub-actor",
            "runtime",
            "spoke-host",
            "spoke",
            "llm-gateway",
            "egress-gateway",
            "example-apps",
        ],
    ),
];

/// What may not be linked into a program, not even by way of others, with the reason.
const NEVER: [(&str, &[&str], &str); 11] = [
    (
        "spoke",
        &["reqwest", "hyper", "redis", "async-openai", "actix"],
        "a spoke has the bus and nothing else",
    ),
    (
        "hub-actor",
        &["reqwest", "hyper", "async-openai", "rmcp"],
        "the hub speaks to no server but broker and store",
    ),
    (
        "spoke-host",
        &["reqwest", "hyper", "redis", "async-openai", "actix"],
        "a host starts processes, no more",
    ),
    ("jail", &["tokio", "async-nats", "reqwest", "hyper", "redis"], "confinement has the shortest list"),
    ("bus", &["reqwest", "hyper", "redis", "actix"], "all processes carry it"),
    ("manifest", &["reqwest", "hyper", "redis"], "it reads files"),
    ("policy", &["reqwest", "hyper", "redis", "actix"], "it decides by values alone"),
    ("gateway", &["reqwest", "hyper", "redis", "actix"], "it starts and hears, no more"),
    ("llm-gateway", &["redis", "actix", "rmcp"], "it has the model's server and the bus"),
    ("egress-gateway", &["redis", "actix", "rmcp", "async-openai"], "it has the web and the bus"),
    ("example-apps", &["async-nats", "reqwest", "redis", "async-openai"], "they are as any stranger's app"),
];

/// Package names and, for each package id, the ids it uses in ordinary builds.
struct Graph {
    names: BTreeMap<String, String>,
    uses: BTreeMap<String, Vec<String>>,
}

fn graph() -> Graph {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(workspace())
        .args(["metadata", "--format-version", "1", "--filter-platform", env!("HOST_TRIPLE")])
        .output()
        .expect("cargo metadata");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let names =
        metadata["packages"].as_array().unwrap().iter().map(|p| (text(&p["id"]), text(&p["name"]))).collect();
    let uses = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            let ordinary = node["deps"].as_array().unwrap().iter().filter(|dep| {
                // A build script and a test are not linked into the program.
                dep["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null())
            });
            (text(&node["id"]), ordinary.map(|dep| text(&dep["pkg"])).collect())
        })
        .collect();
    Graph { names, uses }
}

impl Graph {
    fn id(&self, name: &str) -> &str {
        self.names
            .iter()
            .find(|(_, have)| *have == name)
            .map(|(id, _)| id.as_str())
            .unwrap_or_else(|| panic!("{name} is no package"))
    }

    fn direct(&self, name: &str) -> BTreeSet<&str> {
        self.uses[self.id(name)].iter().map(|id| self.names[id].as_str()).collect()
    }

    /// All that is linked, each with one of those that bring it.
    fn linked<'a>(&'a self, name: &'a str) -> BTreeMap<&'a str, &'a str> {
        let mut linked = BTreeMap::new();
        let mut open = vec![self.id(name)];
        while let Some(id) = open.pop() {
            for used in &self.uses[id] {
                if linked.insert(self.names[used].as_str(), self.names[id].as_str()).is_none() {
                    open.push(used);
                }
            }
        }
        linked
    }
}

#[test]
fn our_crates_use_each_other_only_as_designed() {
    let graph = graph();
    let ours: BTreeSet<&str> = OURS.iter().map(|(name, _)| *name).collect();
    let mut offences = Vec::new();
    for (name, allowed) in OURS {
        for used in graph.direct(name).intersection(&ours) {
            if !allowed.contains(used) {
                offences.push(format!("{name} uses {used}"));
            }
        }
    }
    for (id, name) in &graph.names {
        if id.starts_with("path+file") && !ours.contains(name.as_str()) {
            offences.push(format!("{name} is not in the table"));
        }
    }
    none("our crates use each other only as designed", &offences);
}

#[test]
fn no_program_links_what_it_must_not_have() {
    let graph = graph();
    let mut offences = Vec::new();
    for (name, never, reason) in NEVER {
        let linked = graph.linked(name);
        for forbidden in never {
            if let Some(by) = linked.get(forbidden) {
                offences.push(format!("{name} links {forbidden}, by way of {by} ({reason})"));
            }
        }
    }
    // Control: the search does find what is there.
    assert!(graph.linked("llm-gateway").contains_key("hyper"));
    assert!(graph.linked("hub-actor").contains_key("redis"));
    none("no program links what it must not have", &offences);
}

#[test]
fn confinement_is_short() {
    // Whoever adds one says here what for.
    let graph = graph();
    let direct: Vec<&str> = graph.direct("jail").into_iter().collect();
    let reasons = BTreeMap::from([
        ("libc", "numbers of system calls"),
        ("nix", "system calls with types"),
        ("seccompiler", "policies become filters"),
        ("serde", "reports and descriptions travel as JSON"),
        ("serde_json", "reports and descriptions travel as JSON"),
        ("thiserror", "errors"),
    ]);
    let unknown: Vec<String> =
        direct.iter().filter(|name| !reasons.contains_key(*name)).map(|name| (*name).to_owned()).collect();
    none("jail has the shortest list of dependencies", &unknown);
}
