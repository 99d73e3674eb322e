//! An app that nobody trusts yet is not greeted before its host vouches for it; the test plays the host.

use std::process::Stdio;
use std::time::Duration;

use bus::id::AppId;
use bus::launch::describe::Described;
use bus::message::profile::Wishes;
use jail::app::AppSpec;
use system_tests::core_process::programs;
use system_tests::scratch::Scratch;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::hub::PATIENCE;
use crate::strangers::greets_then;

/// A spoke that only asks an app.
struct Asking {
    scratch: Scratch,
    stdin: Option<ChildStdin>,
    said: Lines<BufReader<ChildStdout>>,
    _spoke: Child,
}

impl Asking {
    async fn start(script: &str) -> Self {
        let scratch = Scratch::new("asked");
        let (app, data) = (scratch.path().join("app"), scratch.path().join("data"));
        std::fs::create_dir_all(&app).unwrap();
        std::fs::write(app.join("server.sh"), script).unwrap();
        jail::app::own_data_dir(&data).unwrap();
        let spec = AppSpec::bare(&["sh", "server.sh"], app, data);
        let mut spoke = Command::new(programs().join("spoke"))
            .args(["describe", &std::process::id().to_string()])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (mut stdin, stdout) = (spoke.stdin.take().unwrap(), spoke.stdout.take().unwrap());
        let request = (AppId::parse("shell").unwrap(), Wishes::default(), spec);
        let line = format!("{}\n", serde_json::to_string(&request).unwrap());
        stdin.write_all(line.as_bytes()).await.unwrap();
        let said = BufReader::new(stdout).lines();
        let mut asking = Self { scratch, stdin: Some(stdin), said, _spoke: spoke };
        assert_eq!(asking.next().await, Described::Ready);
        asking
    }

    async fn next(&mut self) -> Described {
        let line = tokio::time::timeout(PATIENCE, self.said.next_line()).await.unwrap().unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    }

    async fn failed(&mut self) -> String {
        match self.next().await {
            Described::Failed { detail, .. } => detail,
            other => panic!("{other:?}"),
        }
    }

    fn greeted(&self) -> bool {
        self.scratch.path().join("data/greeted").exists()
    }
}

#[tokio::test]
async fn an_app_is_not_greeted_before_its_host_vouches_for_it() {
    let script = greets_then("").replace("read -r initialize\n", "read -r initialize\n: > /data/greeted\n");
    let mut asking = Asking::start(&script).await;
    let silence = tokio::time::timeout(Duration::from_millis(500), asking.said.next_line()).await;
    assert!(silence.is_err() && !asking.greeted(), "{silence:?}");
    // Control: with the host's word it is asked.
    asking.stdin.as_mut().unwrap().write_all(b"\n").await.unwrap();
    match asking.next().await {
        Described::Offer(offer) => assert_eq!(offer.tools[0].name, "go"),
        other => panic!("{other:?}"),
    }
    assert!(asking.greeted());
}

#[tokio::test]
async fn an_app_that_ends_before_anybody_vouches_for_it_is_told_by_its_end() {
    let mut asking = Asking::start("exit 3\n").await;
    assert_eq!(asking.failed().await, "shell ended by itself with exit code 3");
}

#[tokio::test]
async fn a_host_that_goes_away_before_its_word_ends_the_asking() {
    let mut asking = Asking::start("read -r never\n").await;
    asking.stdin = None;
    assert_eq!(asking.failed().await, "the host went away before it vouched for the app");
}
