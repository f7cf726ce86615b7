//! What PostgreSQL's errors mean for the caller.

use remit_ports::store::{AdmitError, StoreError};
use sqlx::Error;

/// Why a request stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The request is not possible now; the others of its batch are.
    Refused(AdmitError),
    /// PostgreSQL failed.
    Sql(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Refused(AdmitError::Store(error))
    }
}

impl From<AdmitError> for Stop {
    fn from(error: AdmitError) -> Self {
        Self::Refused(error)
    }
}

/// Whether one request's values are at fault, rather than the database: data exception, integrity constraint, program
/// limit (SQLSTATE classes 22, 23, 54).
pub(crate) fn is_requests_fault(error: &Error) -> bool {
    match error {
        Error::Database(error) => error.code().is_some_and(|code| {
            ["22", "23", "54"]
                .iter()
                .any(|class| code.starts_with(class))
        }),
        Error::Encode(_) | Error::Decode(_) | Error::ColumnDecode { .. } => true,
        _ => false,
    }
}

/// Whether the same transaction may succeed at once: serialization failure, deadlock.
pub(crate) fn is_passing(error: &Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == "40001" || code == "40P01")
}

/// For writes other than admissions, which know no limits, labels or epoch.
pub(crate) fn into_store(error: AdmitError) -> StoreError {
    match error {
        AdmitError::Store(error) => error,
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// PostgreSQL's failure in words. Never holds the connection's URL, and so no password.
pub(crate) fn unavailable(error: &Error) -> StoreError {
    StoreError::Unavailable(match error {
        Error::Configuration(_) => {
            "the database url cannot be read; write postgres://user@host/database".to_owned()
        }
        Error::PoolTimedOut => "no connection to postgres was free in time".to_owned(),
        Error::PoolClosed => "the store is closed".to_owned(),
        Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            format!("postgres: {} (SQLSTATE {code})", error.message())
        }
        other => format!("postgres: {other}"),
    })
}

/// When an answer took too long.
pub(crate) fn timed_out() -> StoreError {
    StoreError::Unavailable("postgres did not answer in time".to_owned())
}

/// When the writing task has ended.
pub(crate) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}
