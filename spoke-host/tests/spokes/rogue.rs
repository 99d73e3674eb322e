//! A spoke that breaks the rules, for the host's tests. Its app's name says how: `unconfined` claims to be ready and is
//! not confined; `connects`, `opens` and `executes` do so once they are confined; `tame` does nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::time::Duration;

use bus::client::{Address, Bus, WhenLost};
use bus::identity::OwnKey;
use bus::launch::spoke::{Assignment, SpokeSaid};
use bus::message::task::Ready;
use bus::subject::{Op, Service, Subject, inbox};
use jail::limits::SpokeLimits;

fn main() {
    let host = std::env::args().nth(2).unwrap().parse().unwrap();
    jail::prepare(Some(host), &[]).unwrap();
    jail::limits::apply_spoke(&SpokeLimits::standard()).unwrap();
    let key = OwnKey::generate();
    say(&SpokeSaid::PublicKey(key.public()));
    let mut lines = std::io::stdin().lock().lines().map(Result::unwrap);
    let assignment: Assignment<()> = serde_json::from_str(&lines.next().unwrap()).unwrap();
    let _profile = lines.next().unwrap();
    let credential = key.with_jwt(lines.next().unwrap()).unwrap();
    let spoke = assignment.addr;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let address = Address { url: assignment.url, tls_ca: None };
        let inbox = inbox::spoke(&spoke);
        let bus = Bus::connect(&address, &credential, "rogue", &inbox, None, WhenLost::End).await.unwrap();
        if spoke.app.as_str() != "unconfined" {
            jail::confine::spoke(&SpokeLimits::standard()).unwrap();
        }
        let subject = Subject::SpokeOut { spoke: spoke.clone(), service: Service::Result, op: Op::READY };
        bus.publish(&subject, &Ready {}, None).await.unwrap();
        say(&SpokeSaid::Ready);
        // Time for the host to look.
        tokio::time::sleep(Duration::from_millis(200)).await;
        match spoke.app.as_str() {
            "connects" => drop(std::net::TcpStream::connect("127.0.0.1:1")),
            "opens" => drop(std::fs::read("/etc/passwd")),
            "executes" => drop(std::process::Command::new("/bin/true").exec()),
            _ => {}
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
    });
}

fn say(said: &SpokeSaid) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(said).unwrap()).unwrap();
}
