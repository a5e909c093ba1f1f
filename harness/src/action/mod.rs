//! What a timeline can do to a world: one file a kind, each with its proof and its undo as data.

pub mod mesh;
