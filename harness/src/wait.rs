//! The one loop that waits: until a condition holds, with a limit and the last state seen.
