//! Readers of events and samples: console, junit, markdown, html. They never call back into a run.
