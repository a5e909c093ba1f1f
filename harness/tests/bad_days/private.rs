//! Secrets stay where they belong: in nothing that a run leaves, and out of reach for other users of the machine.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use meshquake::backend::local::net::listeners_of;

use crate::bed::{AFTERLIFE, Bed, PATIENCE, Process, beside_others, cannot_run, shop_folder};
use crate::nobody::{as_nobody, cannot_be_had};
use crate::refused;

/// What must show up nowhere: the word of a Secret, a token in a header, a password in a URL.
const CANARIES: [&str; 3] = ["canary-of-the-secret", "canary-of-the-token", "canary-of-the-url"];

/// A run with everything that makes much be told: failed requests, an objective that fails, what was collected then.
const SCENARIO: &str = r#"apiVersion: meshquake/v1
kind: Scenario
name: canary
about: Calls fail and take too long, which the objective does not allow.
seed: 7
world: {use: ./pinning}
load: {journey: chain, rate: 40/s, for: 4s, warm-up: 200ms}
timeline:
  - at: 1s
    for: 2s
    abort: {service: microservice-c, status: 503, share: 50%}
  - at: 1s
    for: 2s
    delay: {service: microservice-b, by: 500ms, share: 50%}
objectives:
  - name: nothing fails
    run: {success: {journey: chain}, at-least: 100%, min-samples: 20}
"#;

#[test]
fn a_secret_is_in_nothing_that_a_run_leaves() {
    if cannot_run() {
        return;
    }
    let _shared = beside_others();
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: canary}\nstringData: {word: canary-of-the-secret}\n---\n";
    let bed = refused::with_world(&[
        ("base/microservice-a.yaml", "apiVersion: v1", &format!("{secret}apiVersion: v1")),
        (
            "base/microservice-a.yaml",
            "            - {name: STACK, value: v1}\n",
            "            - {name: STACK, value: v1}\n            \
             - {name: WORD, valueFrom: {secretKeyRef: {name: canary, key: word}}}\n",
        ),
        ("journeys/chain.yaml", "get: /\n", "get: /?password=canary-of-the-url\n    timeout: 250ms\n"),
        (
            "journeys/chain.yaml",
            "{accept: text/plain}",
            "{accept: text/plain, authorization: Bearer canary-of-the-token}",
        ),
    ]);
    fs::create_dir(bed.path("t")).expect("a folder for what is temporary");
    let mut run = bed.run_with("run", SCENARIO, &[], |command| {
        let path = format!("{}:{}", shop_folder().display(), std::env::var("PATH").unwrap_or_default());
        command.current_dir(bed.path("")).env("PATH", path).env("TMPDIR", bed.path("t"));
        command.env("MESHQUAKE_LOG", "debug");
    });
    run.wait_for_proof();
    // Whoever may look at processes sees their arguments, and the user's own tools their environment.
    let processes = bed.processes();
    let holders = processes.iter().filter(|process| CANARIES.iter().any(|canary| process.knows(canary)));
    let holders: Vec<&Process> = holders.collect();
    assert!(
        holders.iter().all(|process| process.command.contains("shop microservice-a")),
        "only the app that is meant to have it has it: {holders:?}"
    );
    assert!(!holders.is_empty(), "the app has its secret");
    let in_arguments = |process: &&Process| CANARIES.iter().any(|canary| process.command.contains(canary));
    assert!(!processes.iter().any(|process| in_arguments(&process)), "{processes:?}");
    assert_eq!(found_below(&bed.path("r")), BTreeSet::new(), "beside the sockets");

    let status = run.end(PATIENCE);
    assert!(matches!(status.code(), Some(10 | 11)), "{status}\n{}", run.said());
    let folder = run.folder().expect("a run has a folder");
    for kept in ["sidecars", "logs", "samples.om.gz"] {
        assert!(folder.join(kept).exists(), "{kept} is not there, so that nothing could be found in it");
    }
    let told = fs::read_to_string(folder.join("events.jsonl")).expect("its events");
    assert!(told.contains("error sending request"), "no request failed in a way that would tell its address");
    for place in ["run", "run.log", "s", "r", "t"] {
        assert_eq!(found_below(&bed.path(place)), BTreeSet::new(), "in {place}");
    }
    bed.only_left(&[], AFTERLIFE);
}

/// The files below that hold a canary, as plain text, compressed, or as a Secret writes it.
fn found_below(path: &Path) -> BTreeSet<PathBuf> {
    if path.is_dir() {
        let entries = fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").path());
        return entries.flat_map(|entry| found_below(&entry)).collect();
    }
    let Ok(mut bytes) = fs::read(path) else { return BTreeSet::new() };
    if path.extension().is_some_and(|end| end == "gz") {
        let mut plain = Vec::new();
        flate2::read::MultiGzDecoder::new(&bytes[..])
            .read_to_end(&mut plain)
            .expect("what is compressed is whole");
        bytes = plain;
    }
    let text = String::from_utf8_lossy(&bytes);
    let encoded = |canary: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(canary)
    };
    let holds = CANARIES.iter().any(|canary| text.contains(canary) || text.contains(&encoded(canary)));
    if holds { [path.to_owned()].into() } else { BTreeSet::new() }
}

#[test]
fn another_user_reaches_neither_admin_nor_chaos_switch() {
    if cannot_run() || cannot_be_had() {
        return;
    }
    let _shared = beside_others();
    let bed = Bed::new();
    // What protects must be our own doing, not that of a folder above.
    for folder in ["", "r"] {
        fs::set_permissions(bed.path(folder), fs::Permissions::from_mode(0o755)).expect("opened");
    }
    let world = bed.up();
    let processes = bed.processes();
    let sockets = sockets_below(&bed.path("r"));
    let named = |name: &str| sockets.iter().filter(|path| path.ends_with(name)).count();
    // Six pods with a switch each, and the gateway.
    assert!(named("admin.sock") == 7 && named("api.sock") == 1 && sockets.len() >= 14, "{sockets:?}");
    for socket in &sockets {
        UnixStream::connect(socket).unwrap_or_else(|error| panic!("we reach {}: {error}", socket.display()));
        let error =
            as_nobody(|| UnixStream::connect(socket).map(drop)).expect_err("nobody must not reach it");
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{}", socket.display());
    }
    let pids = processes.iter().map(|process| process.pid.unsigned_abs()).collect::<Vec<_>>();
    let elsewhere = unix_sockets(&pids).into_iter().filter(|path| !path.starts_with(bed.path("r")));
    assert_eq!(elsewhere.collect::<Vec<_>>(), Vec::<PathBuf>::new(), "sockets outside of the runtime folder");
    let addresses: BTreeSet<SocketAddr> = pids.iter().flat_map(|pid| listeners_of(*pid)).collect();
    assert!(addresses.len() >= 13, "{addresses:?}");
    for address in &addresses {
        for request in ["GET /config_dump", "GET /stats", "GET /certs", "POST /quitquitquit", "PUT /chaos"] {
            let answer = as_nobody(|| asked(address, request, r#"{"status": 503}"#));
            let admin =
                ["configs", "server.live", "cert_chain", "OK\n"].iter().any(|word| answer.contains(word));
            assert!(!admin, "{request} of {address} answers {answer}");
        }
    }
    // And nothing of it has changed anything.
    world.answers_well(20);
    assert_eq!(bed.processes().len(), processes.len(), "all still run");
    let readable = as_nobody(|| readable_below(&bed.path("")));
    assert_eq!(readable, BTreeSet::new(), "files that nobody can read");
    bed.ends(&["down"], 0);
    bed.only_left(&[], AFTERLIFE);
}

fn sockets_below(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let of = |entry: fs::DirEntry| match entry.file_type().expect("a type") {
        kind if kind.is_dir() => sockets_below(&entry.path()),
        kind if kind.is_socket() => [entry.path()].into(),
        _ => BTreeSet::new(),
    };
    entries.flat_map(of).collect()
}

/// The paths on which these processes listen.
fn unix_sockets(pids: &[u32]) -> BTreeSet<PathBuf> {
    let held =
        pids.iter().flat_map(|pid| fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten());
    let held: BTreeSet<String> = held
        .filter_map(|descriptor| Some(fs::read_link(descriptor.path()).ok()?.to_string_lossy().into_owned()))
        .collect();
    let table = fs::read_to_string("/proc/net/unix").expect("the kernel's table");
    let listens = |fields: &Vec<&str>| fields.get(3) == Some(&"00010000");
    let lines = table.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>()).filter(listens);
    let ours = lines.filter(|fields| held.contains(&format!("socket:[{}]", fields.get(6).unwrap_or(&""))));
    ours.filter_map(|fields| Some(PathBuf::from(fields.get(7)?))).filter(|path| path.is_absolute()).collect()
}

/// The answer's body, or nothing: sidecars speak TLS only.
fn asked(address: &SocketAddr, request: &str, body: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(address) else { return String::new() };
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a limit");
    let length = body.len();
    let text = format!(
        "{request} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    let mut answer = Vec::new();
    // What breaks off half-way is looked at as far as it goes.
    let _broken = stream.write_all(text.as_bytes()).and_then(|()| stream.read_to_end(&mut answer));
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

fn readable_below(path: &Path) -> BTreeSet<PathBuf> {
    match fs::read_dir(path) {
        Ok(entries) => entries.flatten().flat_map(|entry| readable_below(&entry.path())).collect(),
        Err(_) if fs::File::open(path).is_ok() => [path.to_owned()].into(),
        Err(_) => BTreeSet::new(),
    }
}
