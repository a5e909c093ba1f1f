//! A report that tests read, write and compare: one figure kept, one missed, one free, one not measured.

use super::figure::{Better, Figure, Part, Statistic};
use super::machine::{AtRest, Machine};
use super::report::{Report, SCHEMA};
use crate::event::{Relation, Unit};

pub fn report() -> Report {
    let mut up = Figure::new("up", Unit::Seconds, Better::Lower, "From the command to the world ready.")
        .limit(Statistic::Median, Relation::AtMost, 2.0)
        .with(vec![0.81, 0.79, 0.84])
        .note("one of three was slower");
    up.parts = vec![Part { name: "pods ready".into(), unit: Unit::Seconds, samples: vec![0.5, 0.4, 0.6] }];
    up.stolen = Some(0.08);
    Report {
        schema: SCHEMA,
        backend: "local".into(),
        again: "meshquake bench --backend local".into(),
        began: "2026-01-01T00:00:00Z".into(),
        ended: "2026-01-01T00:05:00Z".into(),
        machine: Machine(vec![
            ("processors".into(), "2 × X".into()),
            ("memory".into(), "7.8 GiB".into()),
            ("kernel".into(), "Linux 6.1".into()),
        ]),
        versions: vec![("meshquake".into(), "0.1.0".into()), ("envoy".into(), "1.40.0".into())],
        before: AtRest { load: vec![0.1, 0.2, 0.3], others: 0.01, stolen: 0.0 },
        after: AtRest { load: vec![1.1, 0.9, 0.3], others: 0.2, stolen: 0.0 },
        figures: vec![
            up,
            Figure::new("down", Unit::Seconds, Better::Lower, "From the command to nothing left.")
                .limit(Statistic::Median, Relation::AtMost, 0.5)
                .tolerance(0.25, 0.05)
                .with(vec![0.502, 0.5021]),
            Figure::new("share-of-v1", Unit::Percent, Better::Neither, "How much the one version gets.")
                .with(vec![0.4981]),
            Figure::new("run", Unit::Seconds, Better::Lower, "A whole run.")
                .limit(Statistic::Median, Relation::AtMost, 9.0)
                .missing("the world did not come up"),
        ],
    }
}
