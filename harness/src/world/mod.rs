//! A world: a kustomize folder rendered to checked objects, and its world.yaml.
