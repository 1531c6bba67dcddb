//! A person's own password: checked like a login, replaced by a command.

use console::{Backend, LoginError, PasswordError, Request, Unavailable};
use model::{Command, Origin, limits};

use super::claim::Logins;
use crate::api::auth::password;

pub async fn change_password(
    backend: &dyn Backend,
    logins: &Logins,
    name: &str,
    (current, new): (&str, &str),
    origin: Origin,
) -> Result<(), PasswordError> {
    let user = backend.state().users.get(name).cloned();
    let actor =
        logins.check(user.as_ref(), current, &origin.client_ip).await.map_err(|error| match error {
            LoginError::Wrong => PasswordError::Wrong,
            LoginError::TooManyTries { seconds } => PasswordError::TooManyTries { seconds },
        })?;
    if !(limits::PASSWORD_BYTES_MIN..=limits::PASSWORD_BYTES_MAX).contains(&new.len()) {
        return Err(PasswordError::BadPassword);
    }
    let failed = |why: String| PasswordError::Unavailable(Unavailable::Failed(why));
    let password_hash =
        password::hash_password(new.to_owned()).await.map_err(|error| failed(error.to_string()))?;
    let command = Command::SetPassword { user: name.to_owned(), password_hash };
    let request = Request { actor, origin, request_id: None, expected_version: None, command };
    let applied = backend.propose(request).await.map_err(PasswordError::Unavailable)?;
    applied.result.map(drop).map_err(|reject| failed(reject.to_string()))
}
