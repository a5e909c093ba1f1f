//! An objective as a checked value: an expression, a window, a bound, a no-data rule, a minimum of samples.

use std::time::Duration;

use meshquake_xds::source::Place;

use crate::event::{Relation, Unit};

/// What must hold, and when. A check of the steady state is one too, over the window *before*.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    pub name: String,
    pub place: Place,
    pub window: Window,
    pub expression: Expression,
    pub bound: Bound,
    pub no_data: NoData,
    /// Fewer requests or samples than this cannot carry a verdict.
    pub min_samples: u64,
    /// Evaluated at every step inside the window, and all or any of the values must hold.
    pub every: Option<(Duration, Quantifier)>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Window {
    /// From the end of the warm-up to the first action.
    Before,
    /// From proved to undo asked, of one action or of all together.
    During(Option<String>),
    /// From the last undo verified to the end of the load.
    After,
    /// All of the load after its warm-up.
    Run,
    /// From an undo verified to the first second from which the bound holds for `hold`.
    Recovery { action: Option<String>, within: Duration, hold: Duration },
}

impl Window {
    pub fn words(&self) -> String {
        match self {
            Window::Before => "before".into(),
            Window::During(None) => "during".into(),
            Window::During(Some(action)) => format!("during {action}"),
            Window::After => "after".into(),
            Window::Run => "run".into(),
            Window::Recovery { action: None, .. } => "recovery".into(),
            Window::Recovery { action: Some(action), .. } => format!("recovery from {action}"),
        }
    }
}

/// Short forms compile to PromQL, which the report shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// `$window` stands for the window's length.
    Promql(String),
    /// Share of the client's requests that were answered as the journey demands, 0 to 1.
    Success(Requests),
    /// A quantile of the client's latency, from the intended time of sending, in seconds.
    Latency { of: Requests, quantile: f64 },
    /// The client's requests each second.
    Rate(Requests),
    /// The client's failed requests.
    Errors(Requests),
    /// Requests between workloads of different versions; every edge inside one version must have been used
    /// by at least `min_requests`, and no answer may have been other than 200.
    CrossingVersions { min_requests: u64 },
}

impl Expression {
    pub fn unit(&self) -> Unit {
        match self {
            Expression::Promql(_) => Unit::Number,
            Expression::Success(_) => Unit::Percent,
            Expression::Latency { .. } => Unit::Seconds,
            Expression::Rate(_) => Unit::PerSecond,
            Expression::Errors(_) | Expression::CrossingVersions { .. } => Unit::Count,
        }
    }
}

/// Which of the client's requests: all, of one journey, or one request of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Requests {
    pub journey: Option<String>,
    pub request: Option<String>,
}

/// Percentages as shares from 0 to 1, durations in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    pub relation: Relation,
    pub value: f64,
}

/// What no data means. It never means success unless somebody says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoData {
    Inconclusive,
    Fail,
    Zero,
    Pass,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantifier {
    All,
    Any,
}

/// Aborts the run when it has been true for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    pub name: String,
    pub place: Place,
    pub promql: String,
    /// The run is aborted while the value is on this side of the bound.
    pub bound: Bound,
    pub lasts: Duration,
}
