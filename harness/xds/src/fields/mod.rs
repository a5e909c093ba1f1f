//! The table of every supported kind and field: honoured, inert or refused.
//!
//! It is code and documentation alike: [`check`] holds an object against it, [`markdown`] prints it. Nothing is
//! ignored in silence: an inert field is one that cannot change any verdict, and each use of one is reported.
//!
//! ```text
//! KindTable ─► Field ─► Shape ─► Field …        the tree of what may be written
//!                └────► Support                 what is done with it
//! ```

mod authorization_policy;
mod check;
mod destination_rule;
mod duration;
mod gateway;
mod istio;
mod markdown;
mod metadata;
mod peer_authentication;
mod telemetry;
mod traffic_policy;
mod virtual_service;

pub use check::{InertUse, check, nearest};
pub use duration::parse_duration;
pub use istio::{ISTIO, REFUSED_KINDS, of_istio};
pub use markdown::{Row, markdown, rows};
pub use metadata::METADATA;

/// What is done with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    Honoured,
    /// It cannot change any verdict; the text says why.
    Inert(&'static str),
    /// The text says why, or what to write instead.
    Refused(&'static str),
}

/// A kind of object and all its fields.
#[derive(Clone, Copy, Debug)]
pub struct KindTable {
    pub kind: &'static str,
    pub api_versions: &'static [&'static str],
    /// One sentence for the documentation.
    pub about: &'static str,
    /// Top-level fields other than `apiVersion` and `kind`, which every object has.
    pub fields: &'static [Field],
}

/// A field of an object.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: &'static str,
    pub shape: Shape,
    pub support: Support,
    pub required: bool,
}

impl Field {
    pub const fn required(self) -> Field {
        Field { required: true, ..self }
    }
}

pub const fn honoured(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, support: Support::Honoured, required: false }
}

pub const fn inert(name: &'static str, shape: Shape, why: &'static str) -> Field {
    Field { name, shape, support: Support::Inert(why), required: false }
}

pub const fn refused(name: &'static str, why: &'static str) -> Field {
    Field { name, shape: Shape::Any, support: Support::Refused(why), required: false }
}

/// What a value must look like.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Not looked into.
    Any,
    Bool,
    Text(Format),
    Integer {
        min: i64,
        max: i64,
    },
    Number {
        min: f64,
        max: f64,
    },
    /// One of these words; the second list says which others Istio or Kubernetes know, and why they are refused.
    Choice(&'static [&'static str], &'static [(&'static str, &'static str)]),
    Object(&'static [Field]),
    /// An object of which exactly one field is given.
    OneOf(&'static [Field]),
    List(&'static Shape),
    Map(&'static Shape),
    /// A port by number or name.
    IntegerOrText,
    /// A Kubernetes quantity: `100m`, `1Gi`.
    Quantity,
}

/// What a text must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Any,
    NotEmpty,
    /// `1.5s`, `100ms`, `1h30m`.
    Duration,
    Regex,
    /// A DNS label: lower-case letters, digits and hyphens.
    Label,
    /// A host name, perhaps with a leading `*`.
    Host,
}

pub const TEXT: Shape = Shape::Text(Format::Any);
pub const NAME: Shape = Shape::Text(Format::NotEmpty);
pub const LABEL: Shape = Shape::Text(Format::Label);
pub const HOST: Shape = Shape::Text(Format::Host);
pub const DURATION: Shape = Shape::Text(Format::Duration);
pub const REGEX: Shape = Shape::Text(Format::Regex);
pub const PORT: Shape = Shape::Integer { min: 1, max: 65535 };
pub const COUNT: Shape = Shape::Integer { min: 0, max: i32::MAX as i64 };
pub const PERCENT: Shape = Shape::Number { min: 0.0, max: 100.0 };
pub const TEXTS: Shape = Shape::List(&TEXT);
pub const TEXT_MAP: Shape = Shape::Map(&TEXT);
pub const HOSTS: Shape = Shape::List(&HOST);

pub const fn choice(words: &'static [&'static str]) -> Shape {
    Shape::Choice(words, &[])
}
