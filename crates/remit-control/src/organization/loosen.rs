//! Less separation: from `dual` to `single` takes two administrators, neither of whom could have acted as the other. More
//! separation takes one.

use remit_books::Change;
use remit_domain::event::EventKind;
use remit_domain::finding::FindingKind;
use remit_domain::organization::Loosening;
use remit_domain::{Organization, RefusalCode, Role, Separation};

use super::OrganizationView;
use crate::approval::eligible;
use crate::error::not_found;
use crate::{Caller, Control, ControlError, check, refuse};

fn conflict(text: &str) -> ControlError {
    refuse(RefusalCode::Conflict, text)
}

impl Control {
    /// Asks that one person may do what takes two here. It holds once another administrator has agreed, within 7 days.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `conflict` where it is `single` already, or somebody asks for it now.
    pub async fn request_loosening(
        &self,
        caller: &Caller,
        reason: &str,
    ) -> Result<OrganizationView, ControlError> {
        let person = caller.require(&[Role::Admin])?.id.clone();
        check::said("reason", reason)?;
        self.organization_change(caller, |there| {
            if there.separation == Separation::Single {
                return Err(conflict("one person may do it here already"));
            }
            let now = self.books.now();
            if there.loosening.as_ref().is_some_and(|l| now < l.until()) {
                let text = "it is asked for already; agree to it, or withdraw it";
                return Err(conflict(text));
            }
            let new = Organization {
                loosening: Some(Loosening {
                    by: person.clone(),
                    at: now,
                    reason: reason.to_owned(),
                }),
                ..there.clone()
            };
            let event = self
                .event(caller, EventKind::LooseningRequested)
                .about(&there.id)
                .content("reason", reason);
            Ok((new, Change::new().event(event)))
        })
        .await
    }

    /// Agrees that one person may do what takes two: somebody else than who asks for it. A finding says so, and stays.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator, for who asks, and for whom they created or enrolled or who did them;
    /// `not-found` where nobody asks for it, or it was too long ago.
    pub async fn approve_loosening(
        &self,
        caller: &Caller,
    ) -> Result<OrganizationView, ControlError> {
        let person = caller.require(&[Role::Admin])?.clone();
        let text = "one person may do what took two here; somebody should look at what was done, and set `separation: dual` again";
        let org = caller.org.to_string();
        let of = (FindingKind::SeparationLoosened, org.as_str());
        let asked = {
            let book = self.book(&caller.org)?;
            let registry = book.registry();
            let asked = registry
                .organization
                .as_ref()
                .and_then(|o| o.loosening.clone());
            asked.ok_or_else(|| not_found("wish for less separation", "now"))?
        };
        let text = text.to_owned();
        let finding = self.opening_by(caller, of, text, &[&asked.by]).await?;
        self.organization_change(caller, |there| {
            let now = self.books.now();
            let asked = there.loosening.as_ref().filter(|l| now < l.until());
            let asked = asked.ok_or_else(|| not_found("wish for less separation", "now"))?;
            let book = self.book(&caller.org)?;
            let registry = book.registry();
            let forbidden = |text: String| Err(refuse(RefusalCode::Forbidden, text));
            if asked.by == person.id {
                let text = "you asked for it; that one person is enough takes two people";
                return forbidden(text.to_owned());
            }
            if let Some(why) = eligible::related(&registry, &asked.by, &person) {
                return forbidden(why);
            }
            if !registry
                .people
                .get(&asked.by)
                .is_some_and(|p| p.holds(Role::Admin))
            {
                return forbidden("who asked for it is no administrator any more".to_owned());
            }
            let event = self
                .event(caller, EventKind::OrganizationLoosened)
                .about(&there.id)
                .fact("requested_by", &asked.by)
                .fact("separation", Separation::Single)
                .content("reason", &asked.reason);
            let new = Organization {
                separation: Separation::Single,
                loosening: None,
                ..there.clone()
            };
            Ok((new, Change::new().event(event).and(finding.clone())))
        })
        .await
    }

    /// Takes a wish for less separation back, or refuses it.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `not-found` where nobody asks for it.
    pub async fn withdraw_loosening(
        &self,
        caller: &Caller,
    ) -> Result<OrganizationView, ControlError> {
        caller.require(&[Role::Admin])?;
        self.organization_change(caller, |there| {
            let asked = there.loosening.as_ref();
            let asked = asked.ok_or_else(|| not_found("wish for less separation", "now"))?;
            let event = self
                .event(caller, EventKind::LooseningWithdrawn)
                .about(&there.id)
                .fact("requested_by", &asked.by);
            let new = Organization {
                loosening: None,
                ..there.clone()
            };
            Ok((new, Change::new().event(event)))
        })
        .await
    }

    async fn organization_change(
        &self,
        caller: &Caller,
        next: impl Fn(&Organization) -> Result<(Organization, Change), ControlError>,
    ) -> Result<OrganizationView, ControlError> {
        let found = self
            .books
            .get::<Organization>(&caller.org, caller.org.as_str())
            .await?
            .ok_or_else(|| not_found("organization", &caller.org))?;
        let (new, more) = next(&found.noun)?;
        let change = Change::new().update(&new, found.revision).and(more);
        self.books.commit(&caller.org, change.restrict()).await?;
        self.organization(caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{ADMIN, ADMIN_TOO, NOBODY, World};
    use crate::spec::OrganizationSpec;
    use crate::{FindingView, ListQuery};

    fn code<T: std::fmt::Debug>(result: Result<T, ControlError>) -> RefusalCode {
        result.unwrap_err().code().unwrap()
    }

    async fn put(w: &World, separation: Separation) -> Result<Separation, ControlError> {
        let spec = OrganizationSpec {
            separation,
            sessions: Default::default(),
            hygiene: Default::default(),
            regulated: Default::default(),
            bound_tokens: false,
            wit_svids: false,
        };
        let admin = w.caller(ADMIN);
        let saved = w.control.put_organization(&admin, spec, None);
        Ok(saved.await?.view.spec.separation)
    }

    async fn findings(w: &World) -> Vec<FindingView> {
        let query = ListQuery::default();
        let all = w.control.findings(&w.caller(ADMIN), &query).await.unwrap();
        let loosened = |f: &FindingView| f.kind == FindingKind::SeparationLoosened;
        all.items.into_iter().filter(loosened).collect()
    }

    #[tokio::test]
    async fn one_administrator_never_ends_that_two_are_needed_and_two_do() {
        let w = World::new().await;
        let (one, other) = (w.caller(ADMIN), w.caller(ADMIN_TOO));
        assert_eq!(
            code(put(&w, Separation::Single).await),
            RefusalCode::Forbidden
        );
        assert_eq!(
            code(w.control.approve_loosening(&other).await),
            RefusalCode::NotFound
        );
        w.control.request_loosening(&one, "leave").await.unwrap();
        assert_eq!(
            code(w.control.approve_loosening(&one).await),
            RefusalCode::Forbidden
        );
        let nobody = w.control.approve_loosening(&w.caller(NOBODY)).await;
        assert_eq!(code(nobody), RefusalCode::Forbidden);
        let seen = w.control.organization(&one).unwrap();
        assert_eq!(seen.spec.separation, Separation::Dual);
        let loosened = w.control.approve_loosening(&other).await.unwrap();
        assert_eq!(loosened.spec.separation, Separation::Single);
        assert_eq!(loosened.loosening, None);
        // One is enough for the way back, and what happened stays to be looked at, by neither of the two.
        assert_eq!(put(&w, Separation::Dual).await.unwrap(), Separation::Dual);
        let open = findings(&w).await;
        assert_eq!((open.len(), open[0].state), (1, "open"));
        for who in [&one, &other] {
            let closed = w.control.close_finding(who, &open[0].id, "fine").await;
            assert_eq!(code(closed), RefusalCode::Forbidden);
        }
        assert_eq!(
            code(put(&w, Separation::Single).await),
            RefusalCode::Forbidden
        );
        let again = w.control.approve_loosening(&other).await;
        assert_eq!(code(again), RefusalCode::NotFound, "it was agreed to once");
    }

    #[tokio::test]
    async fn neither_a_puppet_nor_its_master_agrees() {
        for (puppet, master) in [(ADMIN_TOO, ADMIN), (ADMIN, ADMIN_TOO)] {
            let w = World::new().await;
            w.vouch(puppet, master).await;
            w.control
                .request_loosening(&w.caller(ADMIN), "leave")
                .await
                .unwrap();
            let agreed = w.control.approve_loosening(&w.caller(ADMIN_TOO)).await;
            assert_eq!(code(agreed), RefusalCode::Forbidden);
        }
    }

    #[tokio::test]
    async fn a_wish_that_is_old_or_withdrawn_is_agreed_to_by_nobody() {
        let w = World::new().await;
        let (one, other) = (w.caller(ADMIN), w.caller(ADMIN_TOO));
        w.control.request_loosening(&one, "leave").await.unwrap();
        w.control.withdraw_loosening(&other).await.unwrap();
        assert_eq!(
            code(w.control.approve_loosening(&other).await),
            RefusalCode::NotFound
        );
        w.control.request_loosening(&one, "leave").await.unwrap();
        let secs = remit_domain::organization::LOOSENING_SECS.unsigned_abs();
        w.clock.advance(std::time::Duration::from_secs(secs));
        assert_eq!(
            code(w.control.approve_loosening(&other).await),
            RefusalCode::NotFound
        );
        w.control.request_loosening(&one, "again").await.unwrap();
    }
}
