//! What changing a password needs and answers.

use super::Unavailable;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("the password is wrong")]
    Wrong,
    #[error("too many wrong passwords; try again in {seconds} s")]
    TooManyTries { seconds: u64 },
    #[error("the password must have {min} to {max} characters", min = model::limits::PASSWORD_BYTES_MIN, max = model::limits::PASSWORD_BYTES_MAX)]
    BadPassword,
    #[error(transparent)]
    Unavailable(Unavailable),
}
