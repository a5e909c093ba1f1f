//! `docs/tutorial.md` does what it says, for somebody with an empty home and the installed program.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use meshquake::event::EVENTS;
use meshquake::event::{Event, Judged};
use meshquake::report::story::Told;

use crate::bed::AFTERLIFE;
use crate::console::{Block, Shell, Step, blocks};
use crate::stranger::{Stranger, lacks};
use crate::support;

/// How a run says that the machine was too busy for the load generator; it says nothing about the system.
pub const STARVED: &str = "the load generator was the bottleneck";
const TRIES: usize = 3;

#[test]
fn every_command_does_what_the_page_says() {
    if lacks(&["bash", "curl", "node", "python3"]) {
        return;
    }
    let page = fs::read_to_string(support::root().join("harness/docs/tutorial.md")).expect("the page");
    let _alone = support::under_load();
    let stranger = Stranger::new();
    let mut bash = stranger.command("bash");
    bash.stderr(fs::File::create(stranger.bed.path("said")).expect("a file for what is said"));
    let mut shell = Shell::start(bash);
    let shop = stranger.home().join("shop");
    for block in blocks(&page) {
        match block {
            Block::File { name, text } => write(&shop, &name, &text),
            Block::Console(steps) => steps.iter().for_each(|step| carry_out(step, &mut shell, &stranger)),
        }
    }
    proves_the_call(&shop.join("meshquake-reports/runs"));
    drop(shell);
    stranger.bed.only_left(&[], AFTERLIFE);
}

/// A file of the page, which is the same as that of the example.
fn write(shop: &Path, name: &str, text: &str) {
    let example = support::root().join("harness/examples/two-programs").join(name);
    let kept = fs::read_to_string(&example).unwrap_or_else(|error| panic!("{}: {error}", example.display()));
    assert_eq!(text, kept, "the page's {name} is that of the example");
    let file = shop.join(name);
    fs::create_dir_all(file.parent().expect("a folder")).expect("a folder is made");
    fs::write(file, text).expect("a file is written");
}

fn carry_out(step: &Step, shell: &mut Shell, stranger: &Stranger) {
    let command = &step.command;
    if command.starts_with("cargo install ") && !installs() {
        let _unread = writeln!(
            std::io::stderr(),
            "skipped: `{command}`, which compiles everything once more; MESHQUAKE_REQUIRE=install runs it"
        );
        return;
    }
    let mut told = String::new();
    for _ in 0..TRIES {
        let (lines, status) = shell.run(command);
        if step.is_answered_by(&lines) {
            return;
        }
        let said = fs::read_to_string(stranger.bed.path("said")).unwrap_or_default();
        told = format!(
            "`{command}` ended with {status} and answered\n{}\n--- said until then\n{said}",
            lines.join("\n")
        );
        if !lines.iter().any(|line| line.contains(STARVED)) {
            break;
        }
    }
    panic!("{told}\n--- the page says\n{}", step.answer.join("\n"));
}

fn installs() -> bool {
    let required = std::env::var("MESHQUAKE_REQUIRE").unwrap_or_default();
    required.split(',').any(|tier| tier.trim() == "install")
}

/// One program has called the other by its service's name, and each has known the other by its certificate.
fn proves_the_call(runs: &Path) {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(runs).expect("the runs").map(|entry| entry.expect("an entry").path()).collect();
    folders.sort();
    let events = Told::read(&folders[0].join(EVENTS)).expect("the events of the first run").records;
    let called = events.iter().find_map(|record| match &record.event {
        Event::Calls { edges } => {
            edges.iter().find(|call| call.source == "orders" && call.destination == "stock")
        }
        _ => None,
    });
    assert!(called.is_some_and(|call| call.requests > 100.0), "{called:?}");
    let known = |judged: &&Judged| judged.name == "the stock knows by its certificate that orders calls";
    let judged = events.iter().filter_map(|record| match &record.event {
        Event::Judged(judged) => Some(judged),
        _ => None,
    });
    let certified = judged.into_iter().find(known).expect("the objective about certificates was judged");
    assert!(certified.value > Some(50.0), "{certified:?}");
}
