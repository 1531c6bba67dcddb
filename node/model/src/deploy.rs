//! The rolling replacement of an app's tasks (spec/marathon.md §3.2).
