//! Labels of `istio_requests_total`, which the duration histogram has as well: the names that only one side has, those
//! whose values differ, and why. A difference that is not in the list of known ones fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use meshquake_promql::Labels;
use serde::Deserialize;

use crate::table::folder;

/// How the series of `local` differ from those of the cluster that they were compared with, and why. Ten at most.
pub const KNOWN: &[(&str, How, &str)] = &[
    ("source_canonical_service", How::OnlyLocal, CANONICAL),
    ("source_canonical_revision", How::OnlyLocal, CANONICAL),
    ("destination_canonical_service", How::OnlyLocal, CANONICAL),
    ("destination_canonical_revision", How::OnlyLocal, CANONICAL),
    ("source_cluster", How::OnlyLocal, CLUSTER),
    ("destination_cluster", How::OnlyLocal, CLUSTER),
    ("destination_principal", How::OnlyLocal, PRINCIPAL),
    ("source_principal", How::OtherValue, PRINCIPAL),
    ("destination_raw", How::OnlyCluster, RAW),
];

/// How many there may be.
const MOST: usize = 10;

const CANONICAL: &str = "Istio's own filter writes it, `local` too; the telemetry of the cluster that was compared, a \
                         stock Envoy's access logger, does not";
const CLUSTER: &str = "the same: `Kubernetes` on `local`, as with Istio's own filter";
const PRINCIPAL: &str = "the same: that telemetry names only the caller, and only at the called; `local` names both \
                         identities on both sides";
const RAW: &str = "what that telemetry has in place of the callee's labels at the source; relabel rules take it apart, \
                   and it stays beside what they make of it";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    OnlyLocal,
    OnlyCluster,
    OtherValue,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            How::OnlyLocal => "only on `local`",
            How::OnlyCluster => "only on the cluster",
            How::OtherValue => "another value",
        })
    }
}

/// What tells a series from others: the tables of calls hold these labels to be equal.
const TELLING: [&str; 5] =
    ["reporter", "source_workload", "destination_workload", "response_code", "response_flags"];

type Values = BTreeMap<String, BTreeSet<String>>;

/// The labels of all series that the calls made, and the edges of the histogram's buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    edges: BTreeSet<String>,
    /// By what tells them from each other: the values of each label.
    by_call: BTreeMap<String, Values>,
}

impl Series {
    pub fn add<'l>(&mut self, series: impl IntoIterator<Item = &'l Labels>, edges: &BTreeSet<String>) {
        self.edges.extend(edges.iter().cloned());
        for labels in series {
            let values =
                self.by_call.entry(TELLING.map(|name| known(labels.get(name))).join(" ")).or_default();
            for (name, value) in labels.iter().filter(|(name, _)| !TELLING.contains(name)) {
                values.entry(name.to_owned()).or_default().insert(value.to_owned());
            }
        }
    }

    pub fn count(&self) -> usize {
        self.by_call.len()
    }

    pub fn edges(&self) -> impl Iterator<Item = &str> {
        self.edges.iter().map(String::as_str)
    }

    fn names(&self) -> BTreeSet<&str> {
        self.by_call.values().flat_map(|values| values.keys().map(String::as_str)).collect()
    }

    pub fn file(layout: &str) -> PathBuf {
        folder().join(layout).join("series.json")
    }

    pub fn read(layout: &str) -> Option<Self> {
        let kept: Kept = serde_json::from_str(&std::fs::read_to_string(Self::file(layout)).ok()?).ok()?;
        let all = kept.series.into_iter();
        let by_call = all.flat_map(|(keys, values)| keys.into_iter().map(move |key| (key, values.clone())));
        Some(Self { edges: kept.edges, by_call: by_call.collect() })
    }

    /// Those with equal labels together.
    pub fn text(&self) -> String {
        let mut alike = BTreeMap::<Values, Vec<&str>>::new();
        for (key, values) in &self.by_call {
            alike.entry(values.clone()).or_default().push(key);
        }
        let json = |value: serde_json::Result<String>| value.unwrap_or_default();
        let lines = alike
            .iter()
            .map(|(values, keys)| json(serde_json::to_string(&(keys, values))))
            .collect::<Vec<_>>()
            .join(",\n");
        format!("{{\"edges\":{},\n\"series\":[\n{lines}\n]}}\n", json(serde_json::to_string(&self.edges)))
    }
}

/// As it lies on disk.
#[derive(Deserialize)]
struct Kept {
    edges: BTreeSet<String>,
    series: Vec<(Vec<String>, Values)>,
}

/// A label that differs, with where that shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub label: String,
    pub how: How,
    pub example: String,
}

/// Of the series that both have; which series there are is held equal by the tables.
pub fn differences(local: &Series, cluster: &Series) -> Vec<Difference> {
    let (ours, theirs) = (local.names(), cluster.names());
    let only = |names: &BTreeSet<&str>, others: &BTreeSet<&str>, how: How| {
        let only = names.difference(others);
        let only = only.map(|label| Difference { label: (*label).to_owned(), how, example: String::new() });
        only.collect::<Vec<_>>()
    };
    let mut found = only(&ours, &theirs, How::OnlyLocal);
    found.extend(only(&theirs, &ours, How::OnlyCluster));
    for label in ours.intersection(&theirs) {
        let differs = local.by_call.iter().find_map(|(key, values)| {
            let one = said(values.get(*label));
            let other = said(cluster.by_call.get(key)?.get(*label));
            (one != other).then(|| format!("{key}: {one} on local, {other} on the cluster"))
        });
        found.extend(differs.map(|example| Difference {
            label: (*label).to_owned(),
            how: How::OtherValue,
            example,
        }));
    }
    found
}

fn said(values: Option<&BTreeSet<String>>) -> String {
    values.map_or(UNKNOWN.to_owned(), |values| values.iter().cloned().collect::<Vec<_>>().join(" or "))
}

/// A label that one series lacks and others have is one of which nothing is known.
const UNKNOWN: &str = "unknown";

fn known(value: &str) -> &str {
    if value.is_empty() { UNKNOWN } else { value }
}

/// What differs otherwise than is known, and what is known and does not differ.
pub fn surprises(local: &Series, cluster: &Series) -> Vec<String> {
    let found = differences(local, cluster);
    let is_known =
        |one: &Difference| KNOWN.iter().any(|(label, how, _)| *label == one.label && *how == one.how);
    let mut told = Vec::new();
    if KNOWN.len() > MOST {
        told.push(format!("{} differences are known, and {MOST} are allowed", KNOWN.len()));
    }
    for one in found.iter().filter(|one| !is_known(one)) {
        told.push(format!("label `{}`: {} {}", one.label, one.how, one.example));
    }
    for (label, how, _) in KNOWN {
        if !found.iter().any(|one| one.label == *label && one.how == *how) {
            told.push(format!("label `{label}` is known to differ ({how}), and does not"));
        }
    }
    if local.edges != cluster.edges {
        told.push(format!(
            "the buckets end at {:?} on local and at {:?} on the cluster",
            local.edges, cluster.edges
        ));
    }
    told
}
