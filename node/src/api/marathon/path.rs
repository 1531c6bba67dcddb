//! What a path below `/v2/apps/` names. Ids hold slashes and clients double them, so the end of the path decides.

use model::{AppId, TaskId, Timestamp};

/// Ids are normalised texts (`/prod/db`), not yet checked: an impossible id is simply not found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppPath {
    App(String),
    /// All apps at or below this path, `/` for all: `/v2/apps/prod/*`.
    Below(String),
    Tasks(String),
    TasksBelow(String),
    Task(String, TaskId),
    Restart(String),
    Versions(String),
    Version(String, Timestamp),
}

impl AppPath {
    /// `rest` is the percent-decoded path after `/v2/apps/`. `None` if it names nothing.
    pub fn parse(rest: &str) -> Option<Self> {
        let segments: Vec<&str> = rest.split('/').filter(|s| !s.is_empty()).collect();
        let id = |segments: &[&str]| format!("/{}", segments.join("/"));
        let path = match segments.as_slice() {
            [] => return None,
            [group @ .., "*"] => Self::Below(id(group)),
            [group @ .., "*", "tasks"] => Self::TasksBelow(id(group)),
            [app @ .., "tasks"] if !app.is_empty() => Self::Tasks(id(app)),
            [app @ .., "restart"] if !app.is_empty() => Self::Restart(id(app)),
            [app @ .., "versions"] if !app.is_empty() => Self::Versions(id(app)),
            [app @ .., "versions", version] if !app.is_empty() && Timestamp::parse(version).is_some() => {
                Self::Version(id(app), Timestamp::parse(version)?)
            }
            // Task ids hold a dot; `/v2/apps/tasks/db` may be the app `/tasks/db`.
            [app @ .., "tasks", task] if !app.is_empty() && task.contains('.') => {
                TaskId::parse(task).map_or(Self::App(id(&segments)), |task| Self::Task(id(app), task))
            }
            app => Self::App(id(app)),
        };
        Some(path)
    }
}

/// The checked form of a path's id, if there can be an app of that name.
pub fn app_id(text: &str) -> Option<AppId> {
    AppId::parse(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_decide() {
        let ts = "2021-07-01T12:00:00.000Z";
        let stamp = Timestamp::parse(ts).expect("a stamp");
        let task = TaskId::parse("a.instance-1._app.1").expect("a task id");
        for (rest, expected) in [
            ("", None),
            ("//", None),
            ("a", Some(AppPath::App("/a".into()))),
            ("/prod//db/", Some(AppPath::App("/prod/db".into()))),
            ("A", Some(AppPath::App("/A".into()))),
            ("*", Some(AppPath::Below("/".into()))),
            ("prod/*", Some(AppPath::Below("/prod".into()))),
            ("prod/*/tasks", Some(AppPath::TasksBelow("/prod".into()))),
            ("a/tasks", Some(AppPath::Tasks("/a".into()))),
            ("tasks", Some(AppPath::App("/tasks".into()))),
            ("a/b/tasks/", Some(AppPath::Tasks("/a/b".into()))),
            ("a/tasks/a.instance-1._app.1", Some(AppPath::Task("/a".into(), task))),
            ("a/tasks/b", Some(AppPath::App("/a/tasks/b".into()))),
            ("a/restart", Some(AppPath::Restart("/a".into()))),
            ("a/versions", Some(AppPath::Versions("/a".into()))),
            (&format!("a/versions/{ts}"), Some(AppPath::Version("/a".into(), stamp))),
            ("a/versions/b", Some(AppPath::App("/a/versions/b".into()))),
        ] {
            assert_eq!(AppPath::parse(rest), expected, "{rest}");
        }
    }
}
