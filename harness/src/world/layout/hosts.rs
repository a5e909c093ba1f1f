//! Names of hosts that follow their Services: in fields that hold a host, and in texts such as an environment's values.
//!
//! A field of Istio gets the whole name. A text of a container is changed only where the name that it holds would no
//! longer be found: a short name of a Service in another namespace, or a longer one that names the old namespace. In a
//! text a short name is a host where a scheme or `@` stands before it, a port behind it or `host=` before it, and where
//! it is a whole entry of a list with commas; elsewhere it is a word.

use meshquake_xds::model::Settings;

use super::homes::Homes;

/// A Service that moved.
struct Found<'h> {
    name: &'h str,
    new: &'h str,
    /// It was named without its namespace.
    short: bool,
}

/// Who reads a text: an app of `old` that moves to `new`.
pub(super) struct Reader<'r> {
    pub old: &'r str,
    pub new: &'r str,
    /// Variables that hold the namespace of the pod.
    pub own_namespace: &'r [String],
}

impl Homes {
    /// The whole name of a host as written in an object of `old`, if it is that of a Service that moved.
    pub fn host(&self, host: &str, old: &str) -> Option<String> {
        self.find(host, old).map(|found| fqdn(found.name, found.new))
    }

    /// Where the Service behind a host went, if it was written in the namespace of the object that names it.
    pub fn beside(&self, host: &str, old: &str) -> Option<&str> {
        let (name, namespace) = taken_apart(host, old)?;
        self.of_service(namespace, name).filter(|_| namespace == old)
    }

    /// The namespace of a pattern such as `*.pinning.svc.cluster.local`, if it was split.
    pub fn of_pattern<'p>(&self, pattern: &'p str) -> Option<&'p str> {
        pattern.strip_prefix("*.").and_then(in_namespace).filter(|namespace| self.split(namespace))
    }

    /// What stands for `*.pinning.svc.cluster.local`: the same pattern in every namespace of its Services.
    pub fn patterns(&self, pattern: &str) -> Vec<String> {
        let all = self.of_pattern(pattern).map(|namespace| self.all(namespace)).unwrap_or_default();
        all.into_iter().map(|new| fqdn("*", new)).collect()
    }

    /// The text with the hosts in it following, or nothing where it holds none that must.
    pub fn text(&self, text: &str, reader: &Reader<'_>) -> Option<String> {
        let mut changed = String::new();
        let mut done = 0;
        for (from, to) in words(text) {
            let word = &text[from..to];
            let spelt = reader.spelt(word);
            let Some(found) = self.find(&spelt, reader.old) else { continue };
            let moved_away = found.new != reader.new;
            let is_host = !found.short || stands_for_host(&text[..from], &text[to..]);
            if (found.short && !moved_away) || !is_host {
                continue;
            }
            changed += &text[done..from];
            changed += &fqdn(found.name, found.new);
            if word.ends_with('.') {
                changed.push('.');
            }
            done = to;
        }
        (done > 0).then(|| changed + &text[done..])
    }

    fn find<'h>(&'h self, host: &'h str, old: &'h str) -> Option<Found<'h>> {
        let (name, namespace) = taken_apart(host, old)?;
        let new = self.of_service(namespace, name)?;
        Some(Found { name, new, short: !host.trim_end_matches('.').contains('.') })
    }
}

impl Reader<'_> {
    /// The word with the pod's namespace put in for the variables that hold it.
    fn spelt(&self, word: &str) -> String {
        let variables = self.own_namespace.iter();
        variables.fold(word.to_owned(), |word, name| word.replace(&format!("$({name})"), self.old))
    }
}

fn fqdn(name: &str, namespace: &str) -> String {
    format!("{name}.{namespace}.svc.{}", Settings::default().domain)
}

/// Name and namespace of a Service: `b`, `b.shop`, `b.shop.svc` and the whole name.
fn taken_apart<'h>(host: &'h str, old: &'h str) -> Option<(&'h str, &'h str)> {
    match host.trim_end_matches('.').split_once('.') {
        None => Some((host.trim_end_matches('.'), old)),
        Some((name, rest)) => Some((name, in_namespace(rest)?)),
    }
}

/// `shop`, `shop.svc` or `shop.svc.cluster.local`: the namespace.
fn in_namespace(rest: &str) -> Option<&str> {
    let rest = rest.strip_suffix(&format!(".{}", Settings::default().domain)).unwrap_or(rest);
    let namespace = rest.strip_suffix(".svc").unwrap_or(rest);
    (!namespace.contains('.')).then_some(namespace)
}

/// The parts of a text that could be a host: as long as they can be, with `$(NAME)` as part of them.
fn words(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut start = None;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let length = match rest.strip_prefix("$(").and_then(|inner| inner.find(')')) {
            Some(end) => end + 3,
            None => match rest.chars().next() {
                Some(c) if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') => 1,
                other => {
                    found.extend(start.take().map(|start| (start, at)));
                    at += other.map_or(1, char::len_utf8);
                    continue;
                }
            },
        };
        start.get_or_insert(at);
        at += length;
    }
    found.extend(start.map(|start| (start, at)));
    found
}

fn stands_for_host(before: &str, after: &str) -> bool {
    if before.ends_with("://") || before.ends_with('@') {
        return true;
    }
    // Part of a path, or of another name.
    if before.ends_with(['/', ':']) || after.starts_with('/') {
        return false;
    }
    if has_port(after) || before.to_lowercase().ends_with("host=") {
        return true;
    }
    let begins = before.is_empty() || before.trim_end().ends_with([',', ';']);
    let ends = after.is_empty() || after.trim_start().starts_with([',', ';']);
    begins && ends
}

/// `:8080`, or a variable in its place, and nothing that would make a version or a tag of it.
fn has_port(after: &str) -> bool {
    let Some(port) = after.strip_prefix(':') else { return false };
    if port.starts_with("$(") {
        return true;
    }
    let digits = port.chars().take_while(char::is_ascii_digit).count();
    let next = port[digits..].chars().next();
    (1..=5).contains(&digits)
        && next.is_none_or(|c| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '_'))
}
