//! Load: journeys as data, the schedule, and the worker in which goose lives.
