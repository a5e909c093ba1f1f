//! `meshquake man`: the manual pages, made from the same words as `--help`.

use std::io;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _};
use clap_mangen::Man as Page;

use super::Cli;
use super::print::{answer, fail, tell};
use crate::verdict::Exit;

#[derive(Args)]
pub struct Man {
    /// Where all pages go, `meshquake.1` and one for each command; made if it is not there
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

impl Man {
    pub fn execute(&self) -> Exit {
        let pages = match pages() {
            Ok(pages) => pages,
            Err(error) => return fail(Exit::INTERNAL, &format!("the pages cannot be made: {error}")),
        };
        let Some(folder) = &self.folder else {
            pages.iter().take(1).for_each(|(_, page)| answer(page.trim_end()));
            return Exit::HELD;
        };
        let write = |(name, page): &(String, String)| std::fs::write(folder.join(name), page);
        if let Err(error) = std::fs::create_dir_all(folder).and_then(|()| pages.iter().try_for_each(write)) {
            return fail(Exit::INTERNAL, &format!("cannot write {}: {error}", folder.display()));
        }
        let (count, folder) = (pages.len(), folder.display());
        tell(&format!("{count} pages are in {folder}; `man -l {folder}/meshquake.1` shows the first"));
        Exit::HELD
    }
}

/// Name and text of each page, that of the program first.
fn pages() -> io::Result<Vec<(String, String)>> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let commands = program.get_subcommands().filter(|command| !command.is_hide_set());
    std::iter::once(&program).chain(commands).map(|command| page(Page::new(command.clone()))).collect()
}

fn page(page: Page) -> io::Result<(String, String)> {
    let mut text = Vec::new();
    page.render(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    // Examples are lines, which are not to be filled as prose is.
    let text = match text.split_once(".SH EXTRA\n") {
        None => text.into_owned(),
        Some((before, extra)) => {
            let (examples, after) = extra.split_at(extra.find("\n.SH ").map_or(extra.len(), |at| at + 1));
            let examples = examples.strip_prefix("Examples:\n").unwrap_or(examples);
            format!("{before}.SH EXAMPLES\n.nf\n{}\n.fi\n{after}", examples.trim_end())
        }
    };
    Ok((page.get_filename(), text))
}
