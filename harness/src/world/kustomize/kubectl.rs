//! Folders that use more of kustomize than we render: given to `kubectl`, or refused by the field's name.

use std::path::Path;
use std::process::Command;

use super::{Rendered, Renderer, Rendering};
use crate::problem::{Place, Problem, Problems};
use crate::world::shown;
use crate::yaml;

/// The programs that render a folder, with their arguments before it.
const PROGRAMS: [(&str, &[&str]); 2] =
    [("kubectl", &["kustomize"]), ("kustomize", &["build", "--reorder=legacy"])];

pub(super) fn render(folder: &Path, mut rendering: Rendering) -> Result<Rendered, Problems> {
    if !rendering.problems.is_empty() {
        return Err(sorted(rendering.problems));
    }
    let whole = Place::new(shown(folder), 1);
    for (program, arguments) in PROGRAMS {
        let output = match Command::new(program).args(arguments).arg(folder).output() {
            Ok(output) => output,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                let title = format!("`{program}`, which this folder needs, cannot be started: {error}");
                return Err(Problems(vec![Problem::new(&whole, title)]));
            }
        };
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            let title = format!("`{program}` cannot render the folder: {}", words.trim());
            return Err(Problems(vec![Problem::new(&whole, title)]));
        }
        let shown_as = format!("{} as rendered by {program}", shown(folder));
        let objects = yaml::parse(&String::from_utf8_lossy(&output.stdout), &shown_as)?;
        return Ok(Rendered { objects, files: rendering.files, by: Renderer::Kubectl });
    }
    for (field, place) in &rendering.beyond {
        let problem = Problem::new(place, format!("`{field}` is not rendered by meshquake itself"))
            .allowed("`resources`, `patches`, `images`, `namespace`, `replicas`, `labels`")
            .help("with `kubectl` or `kustomize` on PATH the folder would be given to it");
        rendering.problems.push(problem);
    }
    Err(sorted(rendering.problems))
}

fn sorted(problems: Problems) -> Problems {
    match problems.into_result(()) {
        Ok(()) => Problems::default(),
        Err(problems) => problems,
    }
}
