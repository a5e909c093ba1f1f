//! JSON 6902 patches on trees that keep their places.

use super::{Resource, edit};
use crate::problem::{Place, Problem, Problems, nearest};
use crate::yaml::{Fields, Node, Value};

pub(super) struct Operation {
    place: Place,
    path: Vec<String>,
    what: What,
}

enum What {
    Add(Node),
    Remove,
    Replace(Node),
    Move(Vec<String>),
    Copy(Vec<String>),
    Test(Node),
}

/// The operations of a patch; `None` where one of them is not readable.
pub(super) fn read(document: &Node, problems: &mut Problems) -> Option<Vec<Operation>> {
    let items = document.list(problems)?;
    let read: Vec<Option<Operation>> = items.iter().map(|item| operation(item, problems)).collect();
    read.into_iter().collect()
}

#[derive(Clone, Copy)]
enum Name {
    Add,
    Remove,
    Replace,
    Move,
    Copy,
    Test,
}

fn operation(node: &Node, problems: &mut Problems) -> Option<Operation> {
    const NAMES: [(&str, Name); 6] = [
        ("add", Name::Add),
        ("remove", Name::Remove),
        ("replace", Name::Replace),
        ("move", Name::Move),
        ("copy", Name::Copy),
        ("test", Name::Test),
    ];
    let mut fields = Fields::of(node, "an operation of a JSON patch", problems)?;
    let name = fields.required("op", problems).and_then(|node| node.choice(&NAMES, problems));
    let path = fields.required("path", problems).and_then(|node| pointer(node, problems));
    let what = match name? {
        Name::Remove => Some(What::Remove),
        Name::Move => {
            fields.required("from", problems).and_then(|node| pointer(node, problems)).map(What::Move)
        }
        Name::Copy => {
            fields.required("from", problems).and_then(|node| pointer(node, problems)).map(What::Copy)
        }
        name @ (Name::Add | Name::Replace | Name::Test) => {
            value(node, &mut fields, problems).map(|value| match name {
                Name::Add => What::Add(value),
                Name::Replace => What::Replace(value),
                _ => What::Test(value),
            })
        }
    };
    fields.finish(problems);
    Some(Operation { place: node.place.clone(), path: path?, what: what? })
}

/// `value`, which may be null.
fn value(node: &Node, fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Node> {
    match fields.optional("value").or_else(|| node.get("value")) {
        Some(value) => Some(value.clone()),
        None => {
            problems.push(Problem::new(&node.place, "an operation of a JSON patch lacks the field `value`"));
            None
        }
    }
}

fn pointer(node: &Node, problems: &mut Problems) -> Option<Vec<String>> {
    let text = node.text(problems)?;
    match text.strip_prefix('/') {
        Some(rest) => Some(rest.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect()),
        None => {
            problems.push(
                Problem::new(&node.place, format!("`{text}` is not a path")).help("a path begins with `/`"),
            );
            None
        }
    }
}

/// Why a path leads nowhere: the message and the near name.
struct Lost(String, Option<String>);

pub(super) fn apply(operations: &[Operation], resource: &mut Resource, problems: &mut Problems) {
    for operation in operations {
        if let Err(Lost(why, near)) = operation.apply(&mut resource.node) {
            let written = resource.node.place.clone();
            let mut problem = Problem::new(&operation.place, format!("{why} in {}", resource.id()));
            problem.help = Some(match near {
                Some(near) => format!("did you mean `{near}`? the object was written at {written}").into(),
                None => format!("the object was written at {written}").into(),
            });
            problems.push(problem);
            return;
        }
    }
}

impl Operation {
    fn apply(&self, root: &mut Node) -> Result<(), Lost> {
        match &self.what {
            What::Add(value) => add(root, &self.path, value.clone(), &self.place),
            What::Remove => remove(root, &self.path).map(drop),
            What::Replace(value) => {
                find(root, &self.path)?;
                replace(root, &self.path, value.clone(), &self.place)
            }
            What::Copy(from) => {
                let value = find(root, from)?.clone();
                add(root, &self.path, value, &self.place)
            }
            What::Move(from) => {
                let value = remove(root, from)?;
                add(root, &self.path, value, &self.place)
            }
            What::Test(wanted) => {
                let found = find(root, &self.path)?;
                if found.to_json() == wanted.to_json() {
                    return Ok(());
                }
                let why = format!("the test of `{}` finds {found}, not {wanted},", shown_path(&self.path));
                Err(Lost(why, None))
            }
        }
    }
}

fn shown_path(path: &[String]) -> String {
    path.iter().map(|step| format!("/{}", crate::yaml::escape_pointer(step))).collect()
}

/// The child of a node, or why there is none.
fn step<'n>(node: &'n mut Node, path: &[String], depth: usize) -> Result<&'n mut Node, Lost> {
    let key = &path[depth];
    let missing = |near| Lost(format!("there is no `{}`", shown_path(&path[..=depth])), near);
    match &mut node.value {
        Value::Map(entries) => {
            let near = nearest(key, entries.iter().map(|entry| entry.key.as_str())).map(str::to_owned);
            let found = entries.iter_mut().find(|entry| entry.key == *key);
            found.map(|entry| &mut entry.node).ok_or_else(|| missing(near))
        }
        Value::List(items) => {
            let index = key.parse::<usize>().ok();
            index.and_then(|index| items.get_mut(index)).ok_or_else(|| missing(None))
        }
        _ => Err(missing(None)),
    }
}

fn find<'n>(root: &'n mut Node, path: &[String]) -> Result<&'n mut Node, Lost> {
    let mut node = root;
    for depth in 0..path.len() {
        node = step(node, path, depth)?;
    }
    Ok(node)
}

fn parent<'n, 'p>(root: &'n mut Node, path: &'p [String]) -> Result<(&'n mut Node, &'p str), Lost> {
    let mut node = root;
    for depth in 0..path.len() - 1 {
        node = step(node, path, depth)?;
    }
    Ok((node, &path[path.len() - 1]))
}

fn add(root: &mut Node, path: &[String], value: Node, place: &Place) -> Result<(), Lost> {
    let (node, key) = parent(root, path)?;
    match &mut node.value {
        Value::Map(_) => edit::set(node, key, value, place),
        Value::List(items) => {
            let index = if key == "-" { Some(items.len()) } else { key.parse().ok() };
            match index.filter(|index| *index <= items.len()) {
                Some(index) => items.insert(index, value),
                None => {
                    let why =
                        format!("`{}` is beyond the end of a list of {}", shown_path(path), items.len());
                    return Err(Lost(why, None));
                }
            }
        }
        _ => return Err(Lost(format!("`{}` is inside of a plain value", shown_path(path)), None)),
    }
    Ok(())
}

fn remove(root: &mut Node, path: &[String]) -> Result<Node, Lost> {
    find(root, path)?;
    let (node, key) = parent(root, path)?;
    let removed = match &mut node.value {
        Value::List(items) => {
            key.parse::<usize>().ok().filter(|index| *index < items.len()).map(|index| items.remove(index))
        }
        _ => edit::remove(node, key),
    };
    removed.ok_or_else(|| Lost(format!("there is no `{}`", shown_path(path)), None))
}

fn replace(root: &mut Node, path: &[String], value: Node, place: &Place) -> Result<(), Lost> {
    let (node, key) = parent(root, path)?;
    match &mut node.value {
        Value::List(_) => *find(root, path)? = value,
        _ => edit::set(node, key, value, place),
    }
    Ok(())
}
