//! Completions and manual pages, as shells and `man` take them.

use std::process::Stdio;

use crate::stranger::{Stranger, find};
use crate::support::said;

#[test]
fn completions_are_for_every_shell_that_is_named() {
    let stranger = Stranger::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = stranger.command("meshquake").args(["completions", shell]).output().expect("it starts");
        let script = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}", said(&output));
        for word in ["doctor", "as-expected", "completions"] {
            assert!(script.contains(word), "{shell}: no {word} in {script}");
        }
        assert!(!script.contains("supervise"), "{shell}: what nobody types is not completed");
    }
}

#[test]
fn bash_completes_a_command() {
    if find("bash").is_none() {
        return;
    }
    let stranger = Stranger::new();
    // As bash itself does when a person presses the key.
    let script = "source <(meshquake completions bash); COMP_WORDS=(meshquake do); COMP_CWORD=1; \
                  _meshquake meshquake do meshquake; echo ${COMPREPLY[@]}";
    let output = stranger.command("bash").args(["-c", script]).output().expect("it starts");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "down doctor", "{}", said(&output));
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let stranger = Stranger::new();
    let folder = stranger.home().join("man1");
    let output = stranger.command("meshquake").arg("man").arg(&folder).output().expect("it starts");
    assert!(output.status.success(), "{}", said(&output));
    let page =
        |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_else(|why| panic!("{name}: {why}"));
    assert!(page("meshquake.1").contains(".TH meshquake 1") && page("meshquake.1").contains("130  ended by"));
    let run = page("meshquake-run.1");
    for part in [".SH EXAMPLES\n.nf\n  meshquake run", "as\\-expected", "kill\\-under\\-load \\-\\-seed 7"] {
        assert!(run.contains(part), "no {part:?} in {run}");
    }
    assert!(!folder.join("meshquake-supervise.1").exists());
    let main = stranger.command("meshquake").arg("man").stdin(Stdio::null()).output().expect("it starts");
    assert_eq!(String::from_utf8_lossy(&main.stdout).trim_end(), page("meshquake.1").trim_end());
}
