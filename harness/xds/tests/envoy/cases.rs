//! The cases by topic.

mod chain;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

pub type Case = fn(PathBuf) -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! cases {
    ($($topic:ident::$name:ident),+ $(,)?) => {
        pub const ALL: &[(&str, Case)] = &[
            $((concat!(stringify!($topic), "::", stringify!($name)), |envoy| Box::pin($topic::$name(envoy)))),+
        ];
    };
}

cases! {
    chain::versions_stay_apart_under_mutual_tls,
}
