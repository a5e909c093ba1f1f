use std::task::{Context, Waker};
use std::time::Duration;

use super::*;
use crate::backend::local::again::{Helper, LIMIT, NOBODY, again, all_gone, is_root, line_of, run_id, shell};
use crate::backend::local::net::Slice;
use crate::backend::local::proc::Stat;
use crate::backend::local::sweep::Target;
use crate::wait::{Seen, until};

/// What the acceptance asks for: no child 2 s after a `kill -9`.
const TWO_SECONDS: Duration = Duration::from_secs(2);

struct Place {
    folder: tempfile::TempDir,
    run: String,
    spawner: Spawner,
}

impl Place {
    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        Self { folder, run: run_id(name), spawner: Spawner::start().expect("a thread") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn spec(&self, script: &str) -> Spec {
        shell(script, &self.path("app.log"), Mark::new(&self.run, "web-1", "app"))
    }

    async fn spawn(&self, script: &str) -> Process {
        self.spawner.spawn(self.spec(script)).await.expect("it starts")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("app.log")).expect("a log")
    }
}

#[tokio::test]
async fn says_how_a_process_ended_as_often_as_asked() {
    let place = Place::new("exits");
    let seven = place.spawn("exit 7").await;
    assert_eq!((seven.wait().await, seven.wait().await), (Exit::Code(7), Exit::Code(7)));
    let killed = place.spawn("kill -SEGV $$").await;
    let exit = killed.wait().await;
    assert_eq!((exit.to_string().as_str(), exit.is_success()), ("killed by SIGSEGV", false));
    assert!(place.spawn("exit 0").await.wait().await.is_success());
    killed.signal(Signal::TERM).expect("a signal to the dead is none");
}

#[tokio::test]
async fn a_child_has_its_own_session_a_clean_environment_and_no_descriptors_of_ours() {
    let place = Place::new("clean");
    // As a parent that does not set close-on-exec would have left us one.
    let inherited =
        rustix::io::dup(tempfile::tempfile().expect("a file")).expect("a copy without close-on-exec");
    let child =
        place.spawner.spawn(place.spec("env | sort; ls /proc/self/fd; read -r _; cat /proc/self/stat"));
    let child = child.await.expect("it starts");
    let exit = child.wait().await;
    let log = place.log();
    drop(inherited);
    assert!(exit.is_success(), "{exit}: {log}");
    let lines: Vec<&str> =
        log.lines().filter(|line| !line.starts_with("PWD=") && !line.starts_with("_=")).collect();
    let part = lines.iter().find(|line| line.starts_with("MESHQUAKE_PART=app.")).expect("the part");
    let run = format!("MESHQUAKE_RUN={}", place.run);
    let session = lines.last().expect("the stat").split(' ').nth(5).expect("a session");
    assert_eq!(
        lines[..lines.len() - 1],
        // The last of the descriptors is the folder that `ls` itself reads.
        [part, "MESHQUAKE_POD=web-1", run.as_str(), "OLDPWD=/", "PATH=/usr/bin:/bin", "0", "1", "2", "3"]
            .into_iter()
            .filter(|line| *line != "OLDPWD=/" || lines.contains(line))
            .collect::<Vec<_>>()
    );
    assert_eq!(session, child.pid().to_string(), "it leads its own session");
}

#[tokio::test]
async fn ends_when_asked_and_is_ended_when_it_does_not_listen() {
    let place = Place::new("grace");
    let polite = place.spawn("trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done").await;
    line_of(&place.path("app.log")).await;
    assert_eq!(polite.terminate(LIMIT).await, Exit::Code(5));
    fs::remove_file(place.path("app.log")).expect("a log");
    let deaf = place.spawn("trap '' TERM; echo ready; while :; do sleep 600; done").await;
    line_of(&place.path("app.log")).await;
    assert_eq!(deaf.terminate(Duration::from_millis(20)).await.to_string(), "killed by SIGKILL");
    assert!(Target::run(&place.run).find().is_empty(), "nor what it has started");
}

#[tokio::test]
async fn what_a_process_leaves_behind_ends_with_it() {
    let place = Place::new("stragglers");
    let neighbour = Mark::new(&place.run, "web-1", "sidecar");
    let neighbour = place.spawner.spawn(shell("exec sleep 600", &place.path("n.log"), neighbour));
    let neighbour = neighbour.await.expect("it starts");
    // One in its session without the mark, one with the mark in a session of its own.
    let app = place.spawn("env -i sleep 600 & echo $!; setsid sleep 600 & echo $!; exit 3").await;
    assert_eq!(app.wait().await, Exit::Code(3));
    let left: Vec<u32> = place.log().lines().map(|pid| pid.parse().expect("a pid")).collect();
    assert_eq!(left.len(), 2);
    for pid in left {
        assert!(Stat::of(pid).is_none_or(|stat| stat.has_ended()), "{pid} is gone when wait returns");
    }
    assert!(neighbour.identity().is_alive(), "another part of the same pod lives on");
    assert_eq!(neighbour.kill().await.to_string(), "killed by SIGKILL");
}

#[test]
fn a_child_survives_the_threads_that_asked_for_it() {
    let place = Place::new("threads");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let spawner = place.spawner.clone();
    let spec = place.spec("exec sleep 600");
    let child = runtime.block_on(async {
        tokio::spawn(async move { spawner.spawn(spec).await }).await.expect("no panic").expect("it starts")
    });
    drop(runtime);
    assert!(child.identity().is_alive(), "PDEATHSIG is tied to the spawning thread, not to a worker");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let ended = runtime.block_on(Target::run(&place.run).end_all(LIMIT)).expect("it can be ended");
    assert_eq!(ended.iter().map(|found| found.identity).collect::<Vec<_>>(), [child.identity()]);
    assert_eq!(runtime.block_on(child.wait()), Exit::Unknown, "who watched it is gone, and that is said");
}

#[tokio::test]
async fn a_start_that_nobody_waits_for_any_more_is_taken_back() {
    let place = Place::new("dropped");
    let pid_file = place.path("pid");
    let script = format!("echo $$ > '{}'; exec sleep 600", pid_file.display());
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &script]);
    let mut start = Box::pin(place.spawner.launch(command, Bond::OutlivesUs));
    {
        // The first poll sends the job. Nothing starts while this is held, so the answer is not there yet, and nobody
        // will ever ask for it.
        let _nothing_starts = orphans::own_children();
        assert!(start.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let pid: u32 = line_of(&pid_file).await.parse().expect("a pid");
    drop(start);
    all_gone(&[pid], LIMIT).await;
}

#[tokio::test]
async fn says_what_could_not_be_started() {
    let place = Place::new("errors");
    let told = async |spec| place.spawner.spawn(spec).await.expect_err("it does not start").to_string();
    let spec = || place.spec("exit 0");
    let program = Spec { program: "/no/such/program".into(), ..spec() };
    assert_eq!(told(program).await, "cannot start /no/such/program: No such file or directory (os error 2)");
    let folder = spec().folder("/no/such/folder");
    assert_eq!(
        told(folder).await,
        "cannot start /bin/sh: the folder to start it in, /no/such/folder, is none"
    );
    let log = Spec { log: "/no/such/log".into(), ..spec() };
    assert_eq!(told(log).await, "cannot open the log /no/such/log: No such file or directory (os error 2)");
}

#[tokio::test]
async fn a_child_changes_its_user_before_anything_else() {
    if !is_root() {
        return; // only root can; `kill -9` below covers the death signal after it
    }
    let place = Place::new("user");
    let child = place.spawner.spawn(place.spec("id -u; id -g; id -G").user(Some(NOBODY))).await;
    assert!(child.expect("it starts").wait().await.is_success());
    assert_eq!(place.log(), "65534\n65534\n65534\n");
}

#[tokio::test]
async fn kill_9_of_the_spawning_process_ends_its_children() {
    let place = Place::new("kill9");
    let mut helper = Helper::start("spawner", &place.run, place.folder.path());
    let pids: Vec<u32> = helper.says().split(' ').map(|pid| pid.parse().expect("a pid")).collect();
    assert!(pids.iter().all(|pid| Stat::of(*pid).is_some_and(|stat| stat.parent == helper.pid())));
    helper.kill_9();
    all_gone(&pids, TWO_SECONDS).await;
}

#[tokio::test]
async fn kill_9_of_a_supervisor_ends_grandchildren_too_and_removes_its_sockets() {
    let place = Place::new("warden");
    let mut helper = Helper::start("supervisor", &place.run, place.folder.path());
    let pids: Vec<u32> = helper.says().split(' ').map(|pid| pid.parse().expect("a pid")).collect();
    assert_eq!(pids.len(), 5, "warden, app and three grandchildren");
    for pid in &pids {
        assert!(Stat::of(*pid).is_some_and(|stat| !stat.has_ended()), "{pid} of {pids:?} runs");
    }
    assert!(place.path("run").exists());
    assert_eq!(Slice::take_from_for_tests(&place.run).number(), 65, "it holds the first slice");
    helper.kill_9();
    all_gone(&pids, TWO_SECONDS).await;
    assert!(!place.path("run").exists(), "the runtime folder is removed");
    again("the first slice", || match Slice::take_from_for_tests(&place.run) {
        slice if slice.number() == 64 => Ok(()),
        slice => Err(format!("only {} is free", slice.number())),
    })
    .await;
    let reading = crate::backend::local::journal::Reading::of(&place.path(&format!("{}.journal", place.run)));
    let reading = reading.expect("the journal is left to heal");
    assert!(!reading.owner_alive());
    assert_eq!(reading.open_intents().len(), 1);
    again("its lock", || match reading.heal() {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err("held".to_owned()),
        Err(error) => Err(error.to_string()),
    })
    .await;
}

#[tokio::test]
async fn orphans_are_adopted_and_reaped() {
    let place = Place::new("orphans");
    let mut helper = Helper::start("reaper", &place.run, place.folder.path());
    assert_eq!(helper.says(), "exited with 4");
}

#[tokio::test]
async fn a_sweep_ends_one_pod_or_one_run_and_no_stranger() {
    let place = Place::new("sweep");
    let other = Place::new("sweep-other");
    let mark = |pod| Mark::new(&place.run, pod, "app");
    let start = async |place: &Place, mark| {
        place.spawner.spawn(shell("exec sleep 600", &place.path("x.log"), mark)).await.expect("it starts")
    };
    let web = start(&place, mark("web")).await;
    until("the shell has become the program", LIMIT, async || match proc::command_line(web.pid()) {
        line if line == "sleep 600" => Seen::Done(()),
        line => Seen::NotYet(line),
    })
    .await
    .expect("it does");
    let cart = start(&place, mark("cart")).await;
    let stranger = start(&other, Mark::new(&other.run, "web", "app")).await;
    let ended = Target::run(&place.run).pod("web").end_all(LIMIT).await.expect("it can be ended");
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].to_string(), format!("{} (sleep 600) of pod web", web.pid()));
    assert!(cart.identity().is_alive());
    let ended = Target::run(&place.run).end_all(LIMIT).await.expect("it can be ended");
    assert_eq!(ended.iter().map(|found| found.identity).collect::<Vec<_>>(), [cart.identity()]);
    assert!(Target::run(&place.run).end_all(LIMIT).await.expect("nothing to end").is_empty());
    assert!(stranger.identity().is_alive());
    // A session whose leader's pid now belongs to somebody else is not ours.
    let reused = Identity { start: stranger.identity().start - 1, ..stranger.identity() };
    assert!(Target::run(&place.run).with_sessions([reused]).find().is_empty());
    assert!(stranger.kill().await == Exit::Signal(9));
}
