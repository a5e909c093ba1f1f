//! A scenario: the file's shape, the checked value, the plan.
