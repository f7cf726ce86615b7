//! Who asks, and the one place where roles are checked.

use std::sync::Arc;

use remit_books::OPERATOR_ORG;
use remit_domain::{OrgId, Person, Principal, RefusalCode, Role};

use crate::{Control, ControlError, refuse};

/// Who asks, in which organization.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who.
    pub principal: Principal,
    /// The person, as the registry has them now; none for anyone else.
    pub person: Option<Arc<Person>>,
    /// In which organization.
    pub org: OrgId,
}

impl Caller {
    /// The person who asks, present and of this organization. Agents and the operator are not.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn person(&self) -> Result<&Arc<Person>, ControlError> {
        let forbidden = |text: &str| refuse(RefusalCode::Forbidden, text);
        match (&self.principal, &self.person) {
            (Principal::Person(id), Some(person)) if person.id == *id && person.is_active() => {
                Ok(person)
            }
            (Principal::Person(_), _) => Err(forbidden(
                "you are not, or no longer, a person of this organization",
            )),
            (Principal::Agent(_), _) => Err(forbidden(
                "agents change and approve nothing here and read nothing here; a person has to ask",
            )),
            (Principal::Directory(_), _) => Err(forbidden(
                "a directory tells who is here, at `/scim/v2`; a person has to ask",
            )),
            (Principal::Transmitter(_), _) => Err(forbidden(
                "a transmitter tells what happened, at `/ssf/events`; a person has to ask",
            )),
            (Principal::Operator, _) => Err(forbidden(
                "the operator creates organizations and reads nothing inside them; a person of it has to ask",
            )),
            (Principal::Remit, _) => Err(forbidden("nobody asks")),
        }
    }

    /// The person who asks, who holds one of these roles.
    ///
    /// # Errors
    /// `forbidden`, saying which roles may.
    pub fn require(&self, any_of: &[Role]) -> Result<&Arc<Person>, ControlError> {
        let person = self.person()?;
        if any_of.iter().any(|role| person.holds(*role)) {
            return Ok(person);
        }
        let roles: Vec<_> = any_of.iter().map(|r| r.as_str()).collect();
        Err(refuse(
            RefusalCode::Forbidden,
            format!(
                "this takes the role {}; ask an administrator",
                roles.join(" or ")
            ),
        ))
    }

    /// Whether the person who asks holds `role`.
    pub fn holds(&self, role: Role) -> bool {
        self.person().is_ok_and(|p| p.holds(role))
    }

    /// Only the operator.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn require_operator(&self) -> Result<(), ControlError> {
        if self.principal == Principal::Operator {
            Ok(())
        } else {
            Err(refuse(
                RefusalCode::Forbidden,
                "only the operator of this instance may",
            ))
        }
    }
}

impl Control {
    /// The caller for an authenticated principal of an organization, with the person as the registry has them now.
    pub fn caller(&self, org: &OrgId, principal: Principal) -> Caller {
        let person = principal.person().and_then(|id| {
            let book = self.books.org(org)?;
            let registry = book.registry();
            let person = registry.people.get(id).cloned()?;
            Some(registry.narrowed(person))
        });
        Caller {
            principal,
            person,
            org: org.clone(),
        }
    }

    /// The operator as a caller.
    pub fn operator(&self) -> Result<Caller, ControlError> {
        let org = OPERATOR_ORG
            .parse()
            .map_err(|_| refuse(RefusalCode::NotFound, "the operator's ledger is not here"))?;
        Ok(Caller {
            principal: Principal::Operator,
            person: None,
            org,
        })
    }
}
