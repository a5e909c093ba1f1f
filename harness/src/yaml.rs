//! YAML as a tree that knows the place of every value, read strictly and with all problems at once.
