//! File shape to checked journey: every problem with its place, and no placeholder that nothing fills.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use meshquake_xds::source::{Place, Problem, Problems};

use super::{Body, BodyCheck, Capture, Check, Draw, Expression, Journey, Method, Step, Template};
use crate::problem::nearest;
use crate::yaml::{self, Fields, Node};

/// The journeys of a world, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Journeys(pub Vec<Journey>);

impl Journeys {
    /// All `*.yaml` of a folder, which problems name as `shown_as`.
    pub fn load(dir: &Path, shown_as: &str) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let whole = Place::new(shown_as, 1);
        let mut files = Vec::new();
        match std::fs::read_dir(dir) {
            Ok(entries) => files.extend(entries.flatten().map(|entry| entry.path())),
            Err(error) => problems.push(Problem::new(
                &whole,
                format!("cannot read the folder of journeys {shown_as}: {error}"),
            )),
        }
        files.retain(|file| file.extension().is_some_and(|end| end == "yaml" || end == "yml"));
        files.sort();
        let mut found: BTreeMap<String, (Place, Journey)> = BTreeMap::new();
        for file in &files {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let documents = match yaml::read(file, &format!("{shown_as}/{name}")) {
                Ok(documents) => documents,
                Err(more) => {
                    problems.extend(more);
                    continue;
                }
            };
            for document in &documents {
                let Some(journey) = journey(document, &mut problems) else { continue };
                if let Some((first, _)) = found.get(&journey.name) {
                    let title = format!("there is another journey `{}`", journey.name);
                    problems.push(Problem::new(&document.place, title).help(format!("it is at {first}")));
                    continue;
                }
                found.insert(journey.name.clone(), (document.place.clone(), journey));
            }
        }
        problems.into_result(Self(found.into_values().map(|(_, journey)| journey).collect()))
    }

    /// The journey of a name; the error lists those there are.
    pub fn get(&self, name: &str) -> Result<&Journey, String> {
        self.0.iter().find(|journey| journey.name == name).ok_or_else(|| {
            let names = self.0.iter().map(|journey| journey.name.as_str()).collect::<Vec<_>>();
            match nearest(name, names.iter().copied()) {
                Some(near) => format!("unknown journey `{name}`; did you mean `{near}`?"),
                None => format!("unknown journey `{name}`; journeys are {}", names.join(", ")),
            }
        })
    }
}

/// One document; `None` where a problem makes it useless.
pub fn journey(node: &Node, problems: &mut Problems) -> Option<Journey> {
    let before = problems.0.len();
    let mut fields = Fields::of(node, "a journey", problems)?;
    if let Some(version) = fields.required("apiVersion", problems) {
        version.choice(&[("meshquake/v1", ())], problems);
    }
    if let Some(kind) = fields.required("kind", problems) {
        kind.choice(&[("Journey", ())], problems);
    }
    let name = fields.required("name", problems).and_then(|node| label(node, problems));
    let about = fields.optional("about").and_then(|node| node.text(problems)).unwrap_or_default().to_owned();
    let weight = fields.optional("weight").and_then(|node| node.count(0..=1_000_000, problems)).unwrap_or(1);
    let think = fields.optional("think").and_then(|node| node.duration(problems)).unwrap_or_default();
    let drawn = fields.optional("variables");
    let variables = drawn.map(|node| variables(node, problems)).unwrap_or_default();
    // Also those with problems of their own: one problem is told once.
    let mut known: BTreeSet<String> =
        drawn.and_then(Node::as_map).unwrap_or_default().iter().map(|entry| entry.key.clone()).collect();
    let mut steps: Vec<Step> = Vec::new();
    if let Some(node) = fields.required("steps", problems) {
        let items = node.list(problems).unwrap_or_default();
        if node.as_list().is_some_and(<[Node]>::is_empty) {
            problems.push(Problem::new(&node.place, "a journey needs at least one step"));
        }
        for item in items {
            let Some(step) = step(item, &mut known, problems) else { continue };
            if steps.iter().any(|other| other.name == step.name) {
                problems.push(Problem::new(&item.place, format!("there is another step `{}`", step.name)));
            }
            steps.push(step);
        }
    }
    fields.finish(problems);
    (problems.0.len() == before).then_some(())?;
    Some(Journey { name: name?, about, weight, think, variables, steps })
}

/// A name that becomes a label value and a placeholder: words without spaces or braces.
fn label(node: &Node, problems: &mut Problems) -> Option<String> {
    let text = node.words(problems)?;
    if text.chars().any(|c| c.is_whitespace() || matches!(c, '{' | '}')) {
        let problem = Problem::new(&node.place, format!("the name `{text}` has spaces or braces"));
        problems.push(problem);
        return None;
    }
    Some(text.to_owned())
}

fn variables(node: &Node, problems: &mut Problems) -> BTreeMap<String, Draw> {
    let mut variables = BTreeMap::new();
    for entry in node.map(problems).unwrap_or_default() {
        let Some(mut fields) = Fields::of(&entry.node, format!("variable `{}`", entry.key), problems) else {
            continue;
        };
        let draw = match fields.one_of(&["int", "one-of"], problems) {
            Some(("int", node)) => range(node, problems),
            Some((_, node)) => {
                let values: Vec<_> =
                    node.list(problems).unwrap_or_default().iter().map(Node::to_json).collect();
                if node.as_list().is_some_and(<[Node]>::is_empty) {
                    problems.push(Problem::new(&node.place, "`one-of` needs at least one value"));
                }
                (!values.is_empty()).then_some(Draw::OneOf(values))
            }
            None => None,
        };
        fields.finish(problems);
        if let Some(draw) = draw {
            variables.insert(entry.key.clone(), draw);
        }
    }
    variables
}

fn range(node: &Node, problems: &mut Problems) -> Option<Draw> {
    let [low, high] = node.list(problems)? else {
        problems.push(Problem::new(&node.place, "`int` needs two numbers").allowed("`[LOW, HIGH]`"));
        return None;
    };
    let low = low.integer(i64::MIN..=i64::MAX, problems)?;
    let high_value = high.integer(i64::MIN..=i64::MAX, problems)?;
    if low > high_value {
        problems.push(Problem::new(&high.place, format!("the range from {low} to {high_value} is empty")));
        return None;
    }
    Some(Draw::Int(low, high_value))
}

fn step(node: &Node, known: &mut BTreeSet<String>, problems: &mut Problems) -> Option<Step> {
    let mut fields = Fields::of(node, "a step", problems)?;
    let name = fields.required("name", problems).and_then(|node| label(node, problems));
    let request = fields.one_of(&Method::ALL.map(|(word, _)| word), problems).and_then(|(word, node)| {
        let method = Method::ALL.iter().find(|(name, _)| *name == word).map(|(_, method)| *method)?;
        let path = template(node, known, problems)?;
        if !String::from(path.clone()).starts_with('/') {
            problems.push(Problem::new(&node.place, "a path begins with `/`"));
        }
        Some((method, path))
    });
    let mut headers = BTreeMap::new();
    for entry in fields.optional("headers").and_then(|node| node.map(problems)).unwrap_or_default() {
        if http::HeaderName::try_from(entry.key.as_str()).is_err() {
            problems.push(Problem::new(&entry.place, format!("`{}` is no name of a header", entry.key)));
        }
        if let Some(value) = template(&entry.node, known, problems) {
            headers.insert(entry.key.to_ascii_lowercase(), value);
        }
    }
    let body = match fields.at_most_one_of(&["body", "json"], problems) {
        Some(("json", node)) => {
            json_names(node, known, problems);
            Some(Body::Json(node.to_json()))
        }
        Some((_, node)) => template(node, known, problems).map(Body::Text),
        None => None,
    };
    let capture = fields.optional("capture").map(|node| captures(node, problems)).unwrap_or_default();
    let check = fields.optional("check").map(|node| check(node, problems)).unwrap_or_default();
    let think = fields.optional("think").and_then(|node| node.duration(problems));
    let timeout = fields.optional("timeout").and_then(|node| {
        let timeout = node.duration(problems)?;
        if timeout == Duration::ZERO {
            problems.push(Problem::new(&node.place, "a timeout is more than 0"));
        }
        Some(timeout)
    });
    fields.finish(problems);
    known.extend(capture.keys().cloned());
    let (method, path) = request?;
    Some(Step { name: name?, method, path, headers, body, capture, check, think, timeout })
}

/// A text whose placeholders are all known by now.
fn template(node: &Node, known: &BTreeSet<String>, problems: &mut Problems) -> Option<Template> {
    let template = Template::from(node.text(problems)?);
    for name in template.names().filter(|name| !known.contains(*name)) {
        let mut problem = Problem::new(&node.place, format!("nothing fills the placeholder `{{{name}}}`"))
            .allowed(match known.len() {
                0 => "a variable of the journey or a capture of an earlier step; there are none".to_owned(),
                _ => known.iter().map(|name| format!("`{{{name}}}`")).collect::<Vec<_>>().join(", "),
            });
        if let Some(near) = nearest(name, known.iter().map(String::as_str)) {
            problem = problem.help(format!("did you mean `{{{near}}}`?"));
        }
        problems.push(problem);
    }
    Some(template)
}

fn json_names(node: &Node, known: &BTreeSet<String>, problems: &mut Problems) {
    if node.as_text().is_some() {
        template(node, known, problems);
    }
    for item in node.as_list().unwrap_or_default() {
        json_names(item, known, problems);
    }
    for entry in node.as_map().unwrap_or_default() {
        json_names(&entry.node, known, problems);
    }
}

fn captures(node: &Node, problems: &mut Problems) -> BTreeMap<String, Capture> {
    let mut captures = BTreeMap::new();
    for entry in node.map(problems).unwrap_or_default() {
        let Some(mut fields) = Fields::of(&entry.node, format!("capture `{}`", entry.key), problems) else {
            continue;
        };
        let capture = match fields.one_of(&["json", "header", "regex"], problems) {
            Some(("json", node)) => pointer(node, problems).map(Capture::Json),
            Some(("header", node)) => node.words(problems).map(|name| Capture::Header(name.to_owned())),
            Some((_, node)) => expression(node, problems).map(Capture::Regex),
            None => None,
        };
        fields.finish(problems);
        if let Some(capture) = capture {
            captures.insert(entry.key.clone(), capture);
        }
    }
    captures
}

fn check(node: &Node, problems: &mut Problems) -> Check {
    let Some(mut fields) = Fields::of(node, "a check", problems) else { return Check::default() };
    let status = match fields.optional("status") {
        Some(node) => node
            .as_list()
            .unwrap_or(std::slice::from_ref(node))
            .iter()
            .filter_map(|node| node.count(100..=599, problems).and_then(|status| u16::try_from(status).ok()))
            .collect(),
        None => Vec::new(),
    };
    let body = fields.optional("body").and_then(|node| body_check(node, problems));
    fields.finish(problems);
    Check { status, body }
}

fn body_check(node: &Node, problems: &mut Problems) -> Option<BodyCheck> {
    let mut fields = Fields::of(node, "the check of a body", problems)?;
    let found = match fields.one_of(&["equals", "contains", "regex", "one-of", "json"], problems) {
        Some(("equals", node)) => node.text(problems).map(|text| BodyCheck::Equals(text.to_owned())),
        Some(("contains", node)) => node.text(problems).map(|text| BodyCheck::Contains(text.to_owned())),
        Some(("regex", node)) => expression(node, problems).map(BodyCheck::Regex),
        Some(("one-of", node)) => {
            let texts: Vec<String> = node
                .list(problems)
                .unwrap_or_default()
                .iter()
                .filter_map(|item| item.text(problems).map(str::to_owned))
                .collect();
            if node.as_list().is_some_and(<[Node]>::is_empty) {
                problems.push(Problem::new(&node.place, "`one-of` needs at least one text"));
            }
            Some(BodyCheck::OneOf(texts))
        }
        Some((_, node)) => {
            let mut wanted = BTreeMap::new();
            for entry in node.map(problems).unwrap_or_default() {
                pointer_text(&entry.key, &entry.place, problems);
                wanted.insert(entry.key.clone(), entry.node.to_json());
            }
            Some(BodyCheck::Json(wanted))
        }
        None => None,
    };
    fields.finish(problems);
    found
}

fn pointer(node: &Node, problems: &mut Problems) -> Option<String> {
    let text = node.text(problems)?;
    pointer_text(text, &node.place, problems).then(|| text.to_owned())
}

fn pointer_text(text: &str, place: &Place, problems: &mut Problems) -> bool {
    let good = text.is_empty() || text.starts_with('/');
    if !good {
        let problem = Problem::new(place, format!("`{text}` is no JSON pointer"))
            .allowed("`/` and a key or index, as often as needed: `/items/0/id`");
        problems.push(problem);
    }
    good
}

fn expression(node: &Node, problems: &mut Problems) -> Option<Expression> {
    match Expression::try_from(node.text(problems)?.to_owned()) {
        Ok(expression) => Some(expression),
        Err(error) => {
            problems.push(
                Problem::new(&node.place, "the regular expression is not valid").found(error.to_string()),
            );
            None
        }
    }
}

#[cfg(test)]
mod tests;
