//! What SQLite's errors mean for the caller.

use remit_ports::store::{AdmitError, StoreError};
use rusqlite::{Error, ErrorCode};

/// Why a request stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The request is not possible now; the others of its batch are.
    Refused(AdmitError),
    /// SQLite failed.
    Sql(Error),
}

impl Stop {
    /// Whether the database itself failed, so that no request of the batch can be trusted to it.
    pub(crate) fn is_fatal_sql(error: &Error) -> bool {
        match error {
            Error::SqliteFailure(error, _) => !matches!(
                error.code,
                ErrorCode::ConstraintViolation
                    | ErrorCode::TooBig
                    | ErrorCode::TypeMismatch
                    | ErrorCode::ParameterOutOfRange
            ),
            _ => false,
        }
    }

    /// As the caller sees it.
    pub(crate) fn into_admit(self) -> AdmitError {
        match self {
            Self::Refused(error) => error,
            Self::Sql(error) => AdmitError::Store(unavailable(&error)),
        }
    }
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

/// For writes other than admissions, which know no limits, labels or epoch.
pub(crate) fn into_store(error: AdmitError) -> StoreError {
    match error {
        AdmitError::Store(error) => error,
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// SQLite's failure in words, with what to do where that is known.
pub(crate) fn unavailable(error: &Error) -> StoreError {
    let hint = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "; free some disk space",
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "; check the data directory's owner and mode"
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => "; restore a backup",
        _ => "",
    };
    StoreError::Unavailable(format!("sqlite: {error}{hint}"))
}

/// When the writing thread has ended.
pub(crate) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}
