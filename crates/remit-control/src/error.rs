//! Why control did not do it.

use remit_books::BooksError;
use remit_domain::{Refusal, RefusalCode, Registry};
use remit_policy::PolicyError;
use remit_ports::store::StoreError;

use crate::documents::DocumentProblem;

/// Why control did not do it. Nothing has changed then, unless the method says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The answer is no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Documents cannot be read, or name what is not there; each with its place.
    #[error("{}", list(.0))]
    Documents(Vec<DocumentProblem>),
    /// Policies do not compile; each problem with its place.
    #[error(transparent)]
    Policy(PolicyError),
    /// The books could not.
    #[error(transparent)]
    Books(BooksError),
}

impl ControlError {
    /// The refusal's code; none when control could not, rather than would not.
    pub fn code(&self) -> Option<RefusalCode> {
        match self {
            Self::Refused(refusal) => Some(refusal.code),
            Self::Documents(_) | Self::Policy(_) => Some(RefusalCode::InvalidRequest),
            Self::Books(_) => None,
        }
    }
}

impl From<BooksError> for ControlError {
    fn from(error: BooksError) -> Self {
        match error {
            BooksError::Store(
                e @ (StoreError::Conflict { .. }
                | StoreError::NameTaken { .. }
                | StoreError::EpochMoved(_)
                | StoreError::Replayed { .. }),
            ) => refuse(RefusalCode::Conflict, e.to_string()),
            BooksError::Policy(e) => Self::Policy(e),
            error @ BooksError::NoPolicies => refuse(RefusalCode::Denied, error.to_string()),
            BooksError::NoOrganization(_) => {
                refuse(RefusalCode::NotFound, "no such organization is here")
            }
            other => Self::Books(other),
        }
    }
}

impl From<StoreError> for ControlError {
    fn from(error: StoreError) -> Self {
        BooksError::from(error).into()
    }
}

fn list(problems: &[DocumentProblem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// A refusal as an error.
pub fn refuse(code: RefusalCode, text: impl Into<String>) -> ControlError {
    ControlError::Refused(Refusal::new(code, text))
}

/// A field that is not as it must be.
pub(crate) fn invalid(field: &str, why: impl std::fmt::Display) -> ControlError {
    refuse(RefusalCode::InvalidRequest, format!("`{field}`: {why}"))
}

/// Something that is not here.
pub(crate) fn not_found(what: &str, name: impl std::fmt::Display) -> ControlError {
    let name: String = name.to_string().chars().take(160).collect();
    refuse(RefusalCode::NotFound, format!("no {what} `{name}` is here"))
}

/// Most names that are held against a mistyped one.
const NEAR_NAMES_MAX: usize = 5_000;
/// How much of two names has to be the same for one to be what was meant.
const NEAR_RATIO_MIN: f32 = 0.7;

/// Something that is not here, with the name that was probably meant.
pub(crate) fn not_found_near(
    what: &str,
    name: impl std::fmt::Display,
    names: impl Iterator<Item = String>,
) -> ControlError {
    let name: String = name.to_string().chars().take(160).collect();
    let ratio = |known: &str| similar::TextDiff::from_chars(name.as_str(), known).ratio();
    let best = names
        .take(NEAR_NAMES_MAX)
        .map(|known| (ratio(&known), known))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match best.filter(|(ratio, _)| *ratio >= NEAR_RATIO_MIN) {
        Some((_, near)) => refuse(
            RefusalCode::NotFound,
            format!("no {what} `{name}` is here; did you mean `{near}`?"),
        ),
        None => not_found(what, name),
    }
}

/// An agent that is not here.
pub(crate) fn no_agent(registry: &Registry, name: impl std::fmt::Display) -> ControlError {
    let names = registry.agents.values().map(|a| a.name.to_string());
    not_found_near("agent", name, names)
}

/// A tool that is not here.
pub(crate) fn no_tool(registry: &Registry, name: impl std::fmt::Display) -> ControlError {
    let names = registry.tools.keys().map(ToString::to_string);
    not_found_near("tool", name, names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_told_what_was_meant() {
        let near = |name: &str| {
            let names = ["support-triage", "soc-analyst"].map(str::to_owned);
            not_found_near("agent", name, names.into_iter()).to_string()
        };
        assert_eq!(
            near("suport-triage"),
            "not-found: no agent `suport-triage` is here; did you mean `support-triage`?"
        );
        assert_eq!(near("x"), "not-found: no agent `x` is here");
    }
}
