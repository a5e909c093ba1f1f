//! The command line: what is refused, and how a process lives and ends.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support;

const SHOP: &str = env!("CARGO_BIN_EXE_shop");

fn shop(program: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(variables.iter().copied());
    command
}

/// Runs what must be refused; its exit code and its one line.
fn refused(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let output = shop(Path::new(SHOP), arguments, variables).output().expect("run");
    assert!(output.stdout.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!(text.lines().count(), 1, "one line: {text}");
    (output.status.code().expect("no signal"), text.trim_end().to_owned())
}

#[test]
fn what_cannot_be_right_is_refused_on_one_line() {
    let c = ["microservice-c"].as_slice();
    let services = "microservice-a, microservice-b, microservice-c";
    for (arguments, variables, line) in [
        (
            [].as_slice(),
            [].as_slice(),
            format!("no service is named; usage: shop SERVICE, one of {services}"),
        ),
        (&["microservice-d"], &[], format!("unknown service `microservice-d`; allowed are {services}")),
        (&["microservice-c", "x"], &[], "`x` is one argument too many; usage: shop SERVICE".into()),
        (c, &[], "STACK is not set; allowed is v1 or v2".into()),
        (c, &[("STACK", "v3")], "STACK is `v3`; allowed is v1 or v2".into()),
        (c, &[("STACK", "v1"), ("PORT", "65536")], "PORT is `65536`; allowed is a port, 0 to 65535".into()),
        (c, &[("STACK", "v1"), ("BIND_IP", "here")], "BIND_IP is `here`; allowed is an IP address".into()),
        (
            c,
            &[("STACK", "v1"), ("CHAOS_ADDR", "0.0.0.0:9900")],
            "CHAOS_ADDR is `0.0.0.0:9900`; allowed is `unix:/path`, at most 107 bytes of path, \
             or a loopback address and port, `127.0.0.1:9900`"
                .into(),
        ),
        (
            &["microservice-a"],
            &[("STACK", "v1")],
            "NEXT_URL is not set; allowed is a URL such as `http://microservice-b:8080`, with no path".into(),
        ),
    ] {
        assert_eq!(refused(arguments, variables), (2, format!("shop: {line}")));
    }
}

#[test]
fn what_the_machine_does_not_allow_is_a_failure_of_its_own() {
    let holder = TcpListener::bind("127.0.0.1:0").expect("free port");
    let taken = holder.local_addr().expect("bound");
    let port = taken.port().to_string();
    let place = [("STACK", "v1"), ("BIND_IP", "127.0.0.1"), ("PORT", port.as_str())];
    let (code, line) = refused(&["microservice-c"], &place);
    assert_eq!(code, 1);
    assert_eq!(
        line,
        format!(
            "shop: cannot listen on {taken}, from BIND_IP and PORT: Address already in use (os error 98)"
        )
    );
    drop(holder);

    let switch = [("STACK", "v1"), ("PORT", "0"), ("CHAOS_ADDR", "unix:/nowhere/chaos.sock")];
    let (code, line) = refused(&["microservice-c"], &switch);
    assert_eq!(code, 1);
    assert!(
        line.starts_with("shop: cannot open the chaos switch on unix:/nowhere/chaos.sock, from CHAOS_ADDR: "),
        "{line}"
    );
}

/// A process of the shop; killed if the test fails.
struct Process {
    child: Child,
    log: BufReader<std::process::ChildStdout>,
    address: SocketAddr,
}

impl Process {
    fn start(program: &Path, arguments: &[&str]) -> Self {
        let variables = [("STACK", "v2"), ("BIND_IP", "127.0.0.1"), ("PORT", "0"), ("DRAIN_LINGER_MS", "0")];
        let mut child = shop(program, arguments, &variables).stdout(Stdio::piped()).spawn().expect("run");
        let mut log = BufReader::new(child.stdout.take().expect("piped"));
        let listening = line(&mut log);
        assert_eq!(listening["event"], "listening");
        let address = listening["detail"].as_str().expect("text").parse().expect("an address");
        Self { child, log, address }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it runs");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line(log: &mut impl BufRead) -> Value {
    let mut line = String::new();
    log.read_line(&mut line).expect("a line");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

#[tokio::test]
async fn a_process_tells_where_it_listens_logs_each_request_and_drains_on_sigterm() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut process = Process::start(Path::new(SHOP), &["microservice-c"]);
        let answer = support::get(process.address, "/v2/chain", &[("x-request-id", "seven")]).await;
        assert_eq!(answer.body, "Microservice C v2");
        let request = line(&mut process.log);
        assert_eq!(request["service"], "microservice-c");
        assert_eq!(request["path"], "/v2/chain");
        assert_eq!(request["request_id"], "seven");
        process.signal(signal);
        let events = [line(&mut process.log), line(&mut process.log)];
        assert_eq!([&events[0]["event"], &events[1]["event"]], ["draining", "stopped"]);
        assert_eq!(process.child.wait().expect("ended").code(), Some(0));
    }
}

#[tokio::test]
async fn a_link_under_a_services_name_runs_that_service() {
    let folder = tempfile::tempdir().expect("folder");
    let link = folder.path().join("microservice-c");
    std::os::unix::fs::symlink(SHOP, &link).expect("link");
    let process = Process::start(&link, &[]);
    assert_eq!(support::get(process.address, "/", &[]).await.body, "Microservice C v2");
}
