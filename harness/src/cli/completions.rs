//! `meshquake completions`: what a shell needs to complete commands and options.

use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;
use super::print::answer;
use crate::verdict::Exit;

#[derive(Args)]
pub struct Completions {
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

impl Completions {
    pub fn execute(&self) -> Exit {
        let all = Cli::command();
        // What only meshquake itself calls is nobody's to type.
        let visible = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
        let mut program = Command::new("meshquake").version(env!("CARGO_PKG_VERSION")).subcommands(visible);
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program, "meshquake", &mut script);
        answer(String::from_utf8_lossy(&script).trim_end());
        Exit::HELD
    }
}
