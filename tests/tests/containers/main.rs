//! Real containers, made by a real init; the tests speak the agent's part. Needs root and cgroups.

mod run;
