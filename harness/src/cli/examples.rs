//! What the help of each command shows at its end. A test parses every line.

pub const START: &str = "\
Examples:
  meshquake doctor
  meshquake check scenarios/version-pinning.yaml
  meshquake run scenarios/version-pinning.yaml

`meshquake help COMMAND` shows examples of each.";

pub const RUN: &str = "\
Examples:
  meshquake run scenarios/version-pinning.yaml        a file
  meshquake run kill-under-load --seed 7 --keep       a bare name, from scenarios/; look at the world afterwards
  meshquake run unpinned --as-expected                exit with 0 when it goes as its `expect:` says
  meshquake run a.yaml b.yaml --timeout 5m --json     one after the other, for a script
  meshquake run a.yaml --world-up                     in the world that is up already
  meshquake run a.yaml --backend kind                 the same on a cluster";

pub const CHECK: &str = "\
Examples:
  meshquake check scenarios/*.yaml
  meshquake check stock-fails.yaml --backend kind     what is wrong with it there";

pub const UP: &str = "\
Examples:
  meshquake up ./my/world                             a folder
  meshquake up pinning                                a bare name, from services/deploy/
  meshquake up pinning --overlay unpinned             a variant of it
  meshquake up pinning --layout per-service           each app in a namespace of its own
  meshquake up pinning --backend context --context NAME";

pub const APPLY: &str = "\
Examples:
  meshquake apply -f routes.yaml
  meshquake apply -f routes.yaml -f policy.yaml --run ID
  meshquake apply --delete -f routes.yaml";

pub const LS: &str = "\
Examples:
  meshquake ls
  meshquake ls --json
  meshquake ls --backend kind";

pub const LOGS: &str = "\
Examples:
  meshquake logs microservice-b-v1 -f                 the beginning of a pod's name is enough
  meshquake logs microservice-b-v1 --container istio-proxy --tail 50";

pub const DOWN: &str = "\
Examples:
  meshquake down                                      the only world that is up
  meshquake down --run ID
  meshquake down --all
  meshquake down --cluster --backend kind             the cluster as well";

pub const HEAL: &str = "\
Examples:
  meshquake heal
  meshquake heal --backend context --context NAME";

pub const CLEAN: &str = "\
Examples:
  meshquake clean
  meshquake clean --keep-runs 5
  meshquake clean --cache";

pub const DOCTOR: &str = "\
Examples:
  meshquake doctor
  meshquake doctor --backend kind";

pub const BENCH: &str = "\
Examples:
  meshquake bench
  meshquake bench --backend kind
  meshquake bench up run --check
  meshquake bench change --rounds 20 --out /tmp/bench

Exits with 10 where a limit is missed, a figure could not be measured or, with --check, has got worse.";

pub const REPORT: &str = "\
Examples:
  meshquake report reports/runs/20260101-120000-version-pinning
  meshquake report 20260101-120000-version-pinning    by its id";

pub const COMPLETIONS: &str = "\
Examples:
  meshquake completions bash > ~/.local/share/bash-completion/completions/meshquake
  meshquake completions zsh > ~/.zfunc/_meshquake
  meshquake completions fish > ~/.config/fish/completions/meshquake.fish";

pub const MAN: &str = "\
Examples:
  meshquake man | man -l -
  meshquake man ~/.local/share/man/man1";

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::super::Cli;

    /// The commands in a help text, without what explains them or what a shell does with them.
    fn commands(help: &str) -> impl Iterator<Item = Vec<&str>> {
        let lines = help.lines().filter_map(|line| line.strip_prefix("  "));
        let ours = lines.filter(|line| line.starts_with("meshquake "));
        ours.map(|line| {
            let end = ["  ", " > ", " | "].iter().filter_map(|sign| line.find(sign)).min();
            line[..end.unwrap_or(line.len())].split_whitespace().collect()
        })
    }

    #[test]
    fn every_command_has_examples_and_all_of_them_parse() {
        let program = Cli::command();
        let visible = program.get_subcommands().filter(|command| !command.is_hide_set());
        for command in visible {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples = commands(&help).collect::<Vec<_>>();
            assert!(!examples.is_empty(), "`{}` has no example", command.get_name());
            for words in examples {
                assert_eq!(words.get(1), Some(&command.get_name()), "{words:?}");
                assert!(Cli::try_parse_from(&words).is_ok(), "{words:?}");
            }
        }
        let start = commands(super::START).collect::<Vec<_>>();
        assert_eq!(start.len(), 3);
        for words in start {
            assert!(Cli::try_parse_from(&words).is_ok(), "{words:?}");
        }
    }

    #[test]
    fn an_example_ends_where_its_explanation_begins() {
        let help =
            "Examples:\n  meshquake down      all of it\n  meshquake man | man -l -\n\nmeshquake is not one";
        let found = commands(help).collect::<Vec<_>>();
        assert_eq!(found, [vec!["meshquake", "down"], vec!["meshquake", "man"]]);
    }
}
