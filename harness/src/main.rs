//! The `meshquake` binary.
fn main() {}
