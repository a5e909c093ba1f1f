//! From a scenario's file to the checked value, with all problems at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use meshquake_xds::source::{Place, Problem, Problems};

use super::names::unknown;
use super::{Arrivals, Load, Names, Scenario, check, expectation, objectives, timeline};
use crate::load::Journeys;
use crate::problem::nearest;
use crate::world::{Layout, World};
use crate::yaml::{self, Fields, Node};

impl Scenario {
    /// Reads and checks a scenario; nothing is started.
    ///
    /// The file is taken from the current folder, which under `cargo test` is that of the package; a world that it names
    /// by path is taken from the file's own folder.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Problems> {
        let path = path.as_ref();
        let shown = path.display().to_string();
        let node = yaml::read_one(path, &shown)?;
        let text = std::fs::read_to_string(path).map_err(|error| {
            Problems(vec![Problem::new(&Place::new(shown.as_str(), 1), format!("cannot be read: {error}"))])
        })?;
        checked(&node, Source { path, shown: &shown, text, of_file: true, world: None })
    }

    /// As [`Scenario::from_file`], from a text; a world that it names by path is taken from `folder`.
    pub fn from_text(text: impl Into<String>, folder: impl AsRef<Path>) -> Result<Self, Problems> {
        let (path, text) = (folder.as_ref().join("scenario.yaml"), text.into());
        let shown = "the scenario's text";
        let node = yaml::parse_one(&text, shown)?;
        checked(&node, Source { path: &path, shown, text, of_file: false, world: None })
    }

    /// The same scenario in another world, by its folder, and checked against that one: the world as it should be, and
    /// one that is known to be bad.
    pub fn in_world(&self, folder: impl AsRef<Path>) -> Result<Self, Problems> {
        let folder = folder.as_ref();
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let node = yaml::parse_one(&self.text, &self.file)?;
        let text = self.text.clone();
        checked(
            &node,
            Source { path: &self.path, shown: &self.file, text, of_file: false, world: Some(&folder) },
        )
    }
}

/// What a scenario is read from.
struct Source<'s> {
    path: &'s Path,
    shown: &'s str,
    text: String,
    of_file: bool,
    /// In place of the world that the scenario names, and of its overlay.
    world: Option<&'s Path>,
}

fn checked(node: &Node, source: Source<'_>) -> Result<Scenario, Problems> {
    let mut problems = Problems::default();
    match read(node, source, &mut problems) {
        Some(scenario) => problems.into_result(scenario),
        None if problems.is_empty() => {
            Err(Problems(vec![Problem::new(&node.place, "the scenario could not be read")]))
        }
        None => problems.into_result(()).and(Err(Problems::default())),
    }
}

fn read(node: &Node, source: Source<'_>, problems: &mut Problems) -> Option<Scenario> {
    let mut fields = Fields::of(node, "a scenario", problems)?;
    fixed(&mut fields, "apiVersion", "meshquake/v1", problems);
    fixed(&mut fields, "kind", "Scenario", problems);
    let name = fields.required("name", problems).and_then(|node| node.words(problems)).map(str::to_owned);
    let about = fields.required("about", problems).and_then(|node| node.words(problems)).map(str::to_owned);
    let seed = fields.optional("seed").and_then(|node| node.integer(0..=i64::MAX, problems)).unwrap_or(1);
    let world = fields.required("world", problems);
    let load = fields.required("load", problems);
    let steady = fields.optional("steady");
    let steps = fields.optional("timeline");
    let guards = fields.optional("guards");
    let wanted = fields.required("objectives", problems);
    let expect = fields.optional("expect");
    fields.finish(problems);

    // Without its world no name in the rest can be judged, but everything else in it can.
    let world = world.and_then(|node| read_world(node, &source, problems));
    let journeys = world.as_ref().and_then(|world| read_journeys(world, &node.place, problems));
    let mut names = match (&world, &journeys) {
        (Some(world), Some(journeys)) => Names::of(world, journeys),
        _ => Names::blind(),
    };
    let load = load.and_then(|node| read_load(node, &mut names, problems));
    let timeline = steps.map(|node| timeline::read(node, &names, problems)).unwrap_or_default();
    let steady =
        steady.map(|node| objectives::read_steady(node, &names, &timeline, problems)).unwrap_or_default();
    let guards = guards.map(|node| objectives::read_guards(node, problems)).unwrap_or_default();
    let objectives =
        wanted.map(|node| objectives::read(node, &names, &timeline, problems)).unwrap_or_default();
    if let Some(node) = wanted.filter(|_| objectives.is_empty() && problems.is_empty()) {
        problems.push(Problem::new(&node.place, "there is no objective, so nothing could fail"));
    }
    let expect = expect.and_then(|node| expectation::read(node, &objectives, problems));

    let mut warnings: Vec<String> = world.iter().flat_map(World::warnings).collect();
    if let Some(load) = &load {
        let times = check::Times { load, timeline: &timeline };
        check::times(&times, !steady.is_empty(), problems);
        for objective in objectives.iter().chain(&steady).filter(|_| !names.blind) {
            check::objective(objective, &times, &names, problems, &mut warnings);
        }
        for step in &timeline {
            check::action(step, &names, &mut warnings);
        }
    }
    if let Some(world) = world.as_ref().filter(|_| !problems.is_empty()) {
        problems.extend(world.beyond_local.clone());
    }
    Some(Scenario {
        file: source.shown.to_owned(),
        path: source.path.to_owned(),
        of_file: source.of_file,
        text: source.text,
        name: name?,
        about: about?,
        seed: seed.unsigned_abs(),
        world: world?,
        journeys: journeys?,
        names,
        load: load?,
        steady,
        timeline,
        guards,
        objectives,
        expect,
        warnings,
    })
}

fn fixed(fields: &mut Fields<'_>, name: &'static str, only: &str, problems: &mut Problems) {
    if let Some(node) = fields.required(name, problems)
        && let Some(found) = node.text(problems)
        && found != only
    {
        problems.push(
            Problem::new(&node.place, format!("unknown {name} `{found}`")).allowed(format!("`{only}`")),
        );
    }
}

fn read_world(node: &Node, source: &Source<'_>, problems: &mut Problems) -> Option<World> {
    let mut fields = Fields::of(node, "`world`", problems)?;
    let named = fields.required("use", problems);
    let overlay = fields.optional("overlay").and_then(|node| node.text(problems));
    let layout = fields.optional("layout").map(|node| node.choice(&Layout::WORDS, problems));
    let replicas = fields.optional("replicas");
    fields.finish(problems);
    let named = named?;
    let mut name = named.words(problems)?.to_owned();
    let mut overlay = overlay;
    if let Some(other) = source.world {
        (name, overlay) = (other.display().to_string(), None);
    }
    let near = source.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A layout that is none was told of; the rest can be judged as the world is written.
    let layout = layout.flatten().unwrap_or_default();
    let mut world = match World::laid(layout, &name, overlay, near, &named.place) {
        Ok(world) => world,
        Err(found) => {
            problems.extend(found);
            return None;
        }
    };
    let mut wanted = BTreeMap::new();
    for entry in replicas.and_then(|node| node.map(problems)).unwrap_or_default() {
        if let Some(count) = entry.node.count(0..=1000, problems) {
            wanted.insert(entry.key.clone(), (count, entry.place.clone()));
        }
    }
    if let Err(found) = world.set_replicas(&wanted) {
        problems.extend(found);
    }
    Some(world)
}

fn read_journeys(world: &World, place: &Place, problems: &mut Problems) -> Option<Journeys> {
    let Some(folder) = &world.journeys else {
        let problem = Problem::new(place, format!("world `{}` names no folder of journeys", world.name));
        problems.push(problem.help("add `journeys: journeys` to its world.yaml"));
        return None;
    };
    match Journeys::load(folder, &crate::world::shown(folder)) {
        Ok(journeys) => Some(journeys),
        Err(found) => {
            problems.extend(found);
            None
        }
    }
}

fn read_load(node: &Node, names: &mut Names, problems: &mut Problems) -> Option<Load> {
    let mut fields = Fields::of(node, "`load`", problems)?;
    let journeys = fields.one_of(&["journey", "journeys"], problems);
    let arrivals = fields.one_of(&["rate", "users"], problems);
    let in_flight = fields.optional("max-in-flight");
    let lasts = fields.required("for", problems).and_then(|node| node.duration(problems));
    let warm_up = fields.optional("warm-up").and_then(|node| node.duration(problems));
    let timeout = fields.optional("timeout").and_then(|node| node.duration(problems));
    let workers = fields.optional("workers").and_then(|node| node.count(1..=64, problems));
    let hinder = fields.optional("hinder").and_then(|node| node.count(1..=99, problems));
    let hinder = hinder.and_then(|percent| u8::try_from(percent).ok());
    fields.finish(problems);

    let journeys = match journeys {
        Some(("journey", node)) => BTreeMap::from_iter(journey(node, names, problems).map(|name| (name, 1))),
        Some((_, node)) => {
            let mut weights = BTreeMap::new();
            for entry in node.map(problems).unwrap_or_default() {
                let mut named = entry.node.clone();
                named.place = entry.place.clone();
                named.value = yaml::Value::Text(entry.key.clone());
                let weight = entry.node.count(1..=1_000_000, problems);
                if let (Some(name), Some(weight)) = (journey(&named, names, problems), weight) {
                    weights.insert(name, weight);
                }
            }
            weights
        }
        None => BTreeMap::new(),
    };
    // Objectives may only speak of what is driven, once that is known.
    if !journeys.is_empty() {
        names.journeys.retain(|name, _| journeys.contains_key(name));
    }
    let timeout = timeout.unwrap_or(Duration::from_secs(2));
    let arrivals = read_arrivals(arrivals, in_flight, timeout, problems);
    if journeys.is_empty() {
        return None;
    }
    Some(Load {
        place: node.place.clone(),
        journeys,
        arrivals: arrivals?,
        lasts: lasts?,
        warm_up: warm_up.unwrap_or(Duration::from_secs(1)),
        timeout,
        workers,
        hinder,
    })
}

fn read_arrivals(
    arrivals: Option<(&str, &Node)>,
    in_flight: Option<&Node>,
    timeout: Duration,
    problems: &mut Problems,
) -> Option<Arrivals> {
    let (kind, node) = arrivals?;
    if kind == "users" {
        if let Some(node) = in_flight {
            let problem = Problem::new(&node.place, "`max-in-flight` has no meaning with `users`");
            problems.push(
                problem.help("each user waits for its answer: as many are in flight as there are users"),
            );
        }
        return node.count(1..=10_000, problems).map(Arrivals::Users);
    }
    let per_second = node.rate(problems)?;
    if !(per_second > 0.0 && per_second <= 100_000.0) {
        let problem =
            Problem::new(&node.place, format!("a load of {per_second} requests each second is not possible"));
        problems.push(problem.allowed("more than 0/s, up to 100000/s"));
        return None;
    }
    let most = match in_flight {
        Some(node) => node.count(1..=100_000, problems)?,
        // As many as can wait when nothing is answered any more.
        None => (per_second * timeout.as_secs_f64()).ceil().clamp(1.0, 100_000.0) as u32,
    };
    Some(Arrivals::Rate { per_second, max_in_flight: most })
}

fn journey(node: &Node, names: &Names, problems: &mut Problems) -> Option<String> {
    let name = node.text(problems)?;
    if !names.journeys.contains_key(name) {
        let place = format!("world `{}`", names.world);
        let problem = unknown(node, "journey", name, &place, names.journeys.keys().map(String::as_str));
        names.object(problem, problems);
        return names.blind.then(|| name.to_owned());
    }
    Some(name.to_owned())
}

/// The file that a name on the command line means: a path, or a bare name from `scenarios/`.
pub fn find(named: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(named);
    if path.is_file() {
        return Ok(path);
    }
    if path.is_dir() {
        return Err(format!("`{named}` is a folder; name one of the files in it"));
    }
    let looks_like_path = named.contains('/') || named.ends_with(".yaml") || named.ends_with(".yml");
    let Some(folder) = scenarios_folder() else {
        let file = format!("{named}.yaml");
        let near =
            if Path::new(&file).is_file() { format!("; did you mean `{file}`?") } else { String::new() };
        return Err(format!(
            "there is no file `{named}`, and no folder `scenarios` here or above to look for a name{near}"
        ));
    };
    let mut known = Vec::new();
    collect(&folder, &mut known);
    if !looks_like_path && let Some(found) = known.iter().find(|file| stem(file) == named) {
        // As a person would write it from here: it is shown, and repeated in the command that runs it again.
        let here = std::env::current_dir().unwrap_or_default();
        return Ok(found.strip_prefix(&here).unwrap_or(found).to_owned());
    }
    let mut names = known.iter().map(|file| stem(file)).collect::<Vec<_>>();
    names.sort_unstable();
    let asked = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or(named);
    let near = nearest(asked, names.iter().copied())
        .map(|near| format!("; did you mean `{near}`?"))
        .unwrap_or_default();
    Err(format!("there is no scenario `{named}`{near}\n  scenarios are: {}", names.join(", ")))
}

fn scenarios_folder() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors().map(|folder| folder.join("scenarios")).find(|folder| folder.is_dir())
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path())).collect::<Vec<_>>();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
}

fn stem(file: &Path) -> &str {
    file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/two-programs")
    }

    #[test]
    fn a_text_is_as_good_as_a_file() {
        let file = Scenario::from_file(example().join("stock-fails.yaml")).expect("a good scenario");
        let text = Scenario::from_text(file.text.clone(), example()).expect("the same scenario");
        assert_eq!((&text.name, text.world.digest()), (&file.name, file.world.digest()));
        let problems = Scenario::from_text(file.text.replace("order,", "odrer,"), example());
        let told = crate::problem::plain(&problems.err().expect("there is no such journey"));
        assert!(told.contains("the scenario's text:7") && told.contains("did you mean `order`?"), "{told}");
    }

    #[test]
    fn another_world_is_checked_as_well() {
        let scenario = Scenario::from_file(example().join("stock-fails.yaml")).expect("a good scenario");
        let same = scenario.in_world(example().join("corner")).expect("its own world");
        assert_eq!(same.world.digest(), scenario.world.digest());
        let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("../services/deploy/pinning");
        let problems = scenario.in_world(other).err().expect("that world knows neither journey nor service");
        assert!(problems.0.iter().any(|problem| problem.title.contains("`stock`")), "{problems:?}");
    }
}
