//! A page's `console` blocks: commands after `$`, and below each what it answers. A shell runs them one after the other.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Stands for any text in a line, and alone in a line for any lines.
const ANYTHING: char = '…';

/// A command and what it should answer.
#[derive(Debug, PartialEq)]
pub struct Step {
    pub command: String,
    pub answer: Vec<String>,
}

/// What a page holds, in its order.
#[derive(Debug, PartialEq)]
pub enum Block {
    Console(Vec<Step>),
    /// A file, by the last name in backquotes before it.
    File {
        name: String,
        text: String,
    },
}

pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut before = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else {
            before.push_str(line);
            continue;
        };
        let inside = lines.by_ref().take_while(|line| *line != "```").collect::<Vec<_>>();
        if kind == "console" {
            blocks.push(Block::Console(steps(&inside)));
        } else {
            let name = before.trim_end().strip_suffix("`:").and_then(|text| text.rsplit('`').next());
            let name = name
                .unwrap_or_else(|| panic!("no name before the file that begins with {inside:?}"))
                .to_owned();
            blocks.push(Block::File { name, text: inside.iter().map(|line| format!("{line}\n")).collect() });
        }
        before.clear();
    }
    blocks
}

fn steps(lines: &[&str]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in lines {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command: command.to_owned(), answer: vec![] }),
            (None, Some(step)) => step.answer.push((*line).to_owned()),
            (None, None) => panic!("an answer before the first command: {line:?}"),
        }
    }
    steps
}

impl Step {
    pub fn is_answered_by(&self, lines: &[String]) -> bool {
        fits(&self.answer, lines)
    }
}

fn fits(wanted: &[String], lines: &[String]) -> bool {
    match wanted {
        [] => lines.is_empty(),
        [any, rest @ ..] if *any == ANYTHING.to_string() => {
            (0..=lines.len()).any(|from| fits(rest, &lines[from..]))
        }
        [first, rest @ ..] => {
            lines.split_first().is_some_and(|(line, lines)| fits_line(first, line) && fits(rest, lines))
        }
    }
}

fn fits_line(wanted: &str, line: &str) -> bool {
    match wanted.split_once(ANYTHING) {
        None => wanted == line,
        Some((start, end)) => {
            line.len() >= start.len() + end.len() && line.starts_with(start) && line.ends_with(end)
        }
    }
}

/// A shell that goes on from command to command, as a person's does.
pub struct Shell {
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// Ends the answer of a command.
const MARK: &str = "-- the command ended with ";

impl Shell {
    /// In the folder and environment of `bash`, a command that starts one.
    pub fn start(mut bash: Command) -> Self {
        bash.args(["--noprofile", "--norc"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = bash.spawn().expect("a shell starts");
        let (input, output) = (shell.stdin.take().expect("a pipe"), shell.stdout.take().expect("a pipe"));
        Self { shell, input, output: BufReader::new(output) }
    }

    /// The lines of a command's standard output, and how it ended. `$?` is handed on.
    pub fn run(&mut self, command: &str) -> (Vec<String>, i32) {
        let text = format!("{{ {command}\n}} </dev/null; s=$?; printf '\\n%s%s\\n' '{MARK}' $s; (exit $s)\n");
        self.input.write_all(text.as_bytes()).and_then(|()| self.input.flush()).expect("the shell reads");
        let mut answer = Vec::new();
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).expect("the shell answers");
            assert!(read > 0, "the shell ended at {command:?} after {answer:#?}");
            let line = line.trim_end_matches('\n');
            if let Some(status) = line.strip_prefix(MARK) {
                // The mark begins a line of its own also after an answer without an end of line.
                if answer.last().is_some_and(String::is_empty) {
                    answer.pop();
                }
                return (answer, status.parse().expect("a status"));
            }
            answer.push(line.to_owned());
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _killed = self.shell.kill();
        let _reaped = self.shell.wait();
    }
}

#[test]
fn a_page_is_read_and_compared() {
    let page = "# Page\n\nIn `a` and `b/c.yaml`:\n\n```yaml\nx: 1\n```\n\n```console\n$ one\n$ two\nan … of two\n…\nend\n```\n";
    let blocks = blocks(page);
    let file = Block::File { name: "b/c.yaml".into(), text: "x: 1\n".into() };
    let answer = ["an … of two", "…", "end"].map(str::to_owned).to_vec();
    let two = Step { command: "two".into(), answer };
    assert_eq!(blocks, [file, Block::Console(vec![Step { command: "one".into(), answer: vec![] }, two])]);
    let Some(Block::Console(steps)) = blocks.last() else { panic!("{blocks:?}") };
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    assert!(steps[1].is_answered_by(&lines(&["an answer of two", "end"])));
    assert!(steps[1].is_answered_by(&lines(&["an answer of two", "more", "and more", "end"])));
    assert!(!steps[1].is_answered_by(&lines(&["an answer of one", "end"])));
    assert!(!steps[1].is_answered_by(&lines(&["an answer of two", "end", "more"])));
    assert!(steps[0].is_answered_by(&[]) && !steps[0].is_answered_by(&lines(&["said"])));
}

#[test]
fn a_shell_remembers_and_answers_line_by_line() {
    let mut shell = Shell::start(Command::new("bash"));
    let answer = |lines: &[&str], status| (lines.iter().map(|line| (*line).to_owned()).collect(), status);
    assert_eq!(shell.run("cd / && A=1"), answer(&[], 0));
    assert_eq!(shell.run("pwd; echo; echo $A"), answer(&["/", "", "1"], 0));
    assert_eq!(shell.run("printf x; (exit 7)"), answer(&["x"], 7));
    assert_eq!(shell.run("echo $?"), answer(&["7"], 0));
}
