//! A confined spoke still does its work: the event loop, an open connection, its app child, timers, the
//! allocator, random numbers, clocks, and collecting its child.
//!
//! Starts itself as the spoke, for each user the tests can be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use jail::app::{AppChild, AppEnd, AppEvent, AppSpec};
use jail::limits::SpokeLimits;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;

/// More than socket buffers hold, so that both sides wait for each other.
const MUCH: usize = 4 << 20;
const ORDINARY_ID: u32 = 47_011;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("spoke") => spoke(&arguments[2], &arguments[3]),
        // Runners ask for the names first; the ignored ones, of which there are none, by themselves.
        Some("--list") if arguments.iter().any(|argument| argument == "--ignored") => {}
        Some("--list") => println!("a_confined_spoke_does_its_work: test"),
        _ => {
            let root = nix::unistd::Uid::effective().is_root();
            let users: &[bool] = if root { &[true, false] } else { &[false] };
            for as_root in users {
                start(root, *as_root);
                println!("a confined spoke does its work (as root: {as_root}) ... ok");
            }
        }
    }
}

fn start(root: bool, as_root: bool) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let place = |name: &str, from: &str| {
        let path = folder.path().join(name);
        std::fs::copy(from, &path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let probe = place("probe", env!("CARGO_BIN_EXE_hostile-probe"));
    let own = place("own", std::env::current_exe().unwrap().to_str().unwrap());
    let data = folder.path().join("data");
    jail::app::own_data_dir(&data).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let echo = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match stream.read(&mut buffer).unwrap() {
                0 => break,
                read => stream.write_all(&buffer[..read]).unwrap(),
            }
        }
    });
    let mut command = Command::new(own);
    command.args(["spoke", &address, probe.to_str().unwrap()]).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if root && !as_root {
        chown(&data, Some(ORDINARY_ID), Some(ORDINARY_ID)).unwrap();
        command.uid(ORDINARY_ID).gid(ORDINARY_ID);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?} {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"all of it\n");
    echo.join().unwrap();
}

fn spoke(address: &str, probe: &str) {
    jail::prepare(None, &[]).unwrap();
    let limits = SpokeLimits::standard();
    jail::limits::apply_spoke(&limits).unwrap();
    let probe = PathBuf::from(probe);
    let folder = probe.parent().unwrap().to_owned();
    let spec = AppSpec::bare(&["/app/probe", "echo"], folder.clone(), folder.join("data"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nonblocking(true).unwrap();
        let stream = tokio::net::TcpStream::from_std(stream).unwrap();
        let AppChild { mut child, control, .. } = jail::app::start_with(&probe, &["app"], &spec).unwrap();
        let mut input = pipe::Sender::from_owned_fd(OwnedFd::from(child.stdin.take().unwrap())).unwrap();
        let output = pipe::Receiver::from_owned_fd(OwnedFd::from(child.stdout.take().unwrap())).unwrap();
        control.set_nonblocking(true).unwrap();
        let mut events = BufReader::new(tokio::net::UnixStream::from_std(control).unwrap()).lines();

        jail::confine::spoke(&limits).unwrap();

        // Timers, clocks and random numbers.
        let begun = Instant::now();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(Duration::from_millis(20) <= begun.elapsed());
        assert!(SystemTime::UNIX_EPOCH < SystemTime::now());
        let mut map = HashMap::new();
        map.insert("key", "value");

        // The allocator, up and down, past what one heap holds.
        for size in [1 << 10, 1 << 20, 64 << 20] {
            let mut block = vec![1_u8; size];
            block.resize(size * 2, 2);
            assert_eq!(block[size], 2);
        }

        // The connection, both ways at once.
        let (mut read, mut write) = stream.into_split();
        let sent = async {
            write.write_all(&vec![7; MUCH]).await.unwrap();
            write.shutdown().await.unwrap();
        };
        let mut received = Vec::new();
        let (_, got) = tokio_join(sent, read.read_to_end(&mut received)).await;
        assert_eq!(got.unwrap(), MUCH);

        // The app.
        let event = |line: Option<String>| serde_json::from_str::<AppEvent>(&line.unwrap()).unwrap();
        assert_eq!(event(events.next_line().await.unwrap()), AppEvent::Started);
        input.write_all(b"hello\n").await.unwrap();
        let mut lines = BufReader::new(output).lines();
        assert!(lines.next_line().await.unwrap().unwrap().contains("hello"));
        let end = event(events.next_line().await.unwrap());
        assert_eq!(end, AppEvent::Ended(AppEnd::Exited { code: 0 }));
        assert_eq!(events.next_line().await.unwrap(), None);
        assert!(child.wait().unwrap().success());
        println!("all of it");
    });
}

/// Two futures at once, without the macros of the runtime.
async fn tokio_join<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (Box::pin(a), Box::pin(b));
    let (mut from_a, mut from_b) = (None, None);
    std::future::poll_fn(|context| {
        use std::task::Poll;
        if from_a.is_none()
            && let Poll::Ready(out) = a.as_mut().poll(context)
        {
            from_a = Some(out);
        }
        if from_b.is_none()
            && let Poll::Ready(out) = b.as_mut().poll(context)
        {
            from_b = Some(out);
        }
        if from_a.is_some() && from_b.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    (from_a.unwrap(), from_b.unwrap())
}
