//! The certificate: everything derived is looked at again after the epoch rose, and each item is called what was found.
//!
//! Access tokens of Remit are good at Remit's own surfaces, which look the run up each time: there a revoked one has
//! stopped. Where an agent is enforced by something other than the gateway, that other validator may believe the signature
//! alone, and the token is bounded by its own end.

use std::time::Duration;

use remit_books::in_flight::{Flight, Progress};
use remit_books::{BooksError, Change, Versioned};
use remit_domain::agent::Enforcement;
use remit_domain::approval::{Approval, ApprovalState};
use remit_domain::containment::{Certificate, Containment, Item, ItemStatus, Level, Target};
use remit_domain::credential::{AgentKey, Svid, Token};
use remit_domain::delegation::Delegation;
use remit_domain::event::{Event, EventKind};
use remit_domain::run::{Run, RunState};
use remit_domain::{ContainmentId, DecisionId, OrgId, Principal, RefusalCode, RunId};
use remit_ports::store::EntryFilter;

use super::leases::LEASE;
use super::stop_all::Stopped;
use crate::{Control, ControlError, names};

/// How long a call in flight may take to end, before the first certificate calls it not proved.
const FLIGHT_WAIT: Duration = Duration::from_secs(1);
/// Most open calls looked at.
const OPEN_CALLS_MAX: u32 = 10_000;
/// Most items a certificate's entry repeats; a larger one is in its record, and its entry holds the numbers.
const ITEMS_IN_ENTRY_MAX: usize = 5_000;

fn stopped(verified: impl Into<String>) -> ItemStatus {
    ItemStatus::Stopped {
        verified: verified.into(),
    }
}

fn not_proved(why: impl Into<String>) -> ItemStatus {
    ItemStatus::NotProved { why: why.into() }
}

fn item(kind: &str, id: impl ToString, label: impl Into<String>, status: ItemStatus) -> Item {
    Item {
        kind: kind.to_owned(),
        id: id.to_string(),
        label: label.into(),
        status,
    }
}

impl Control {
    /// Draws up the first certificate and keeps it.
    pub(super) async fn certify(
        &self,
        org: &OrgId,
        id: &ContainmentId,
        what: Stopped,
    ) -> Result<(), ControlError> {
        let containment = self.find_containment(org, id).await?.noun;
        let items = self.items(org, &containment, &what).await?;
        Ok(self.keep_certificate(org, id, items).await?)
    }

    async fn keep_certificate(
        &self,
        org: &OrgId,
        id: &ContainmentId,
        items: Vec<Item>,
    ) -> Result<(), BooksError> {
        let epoch = self.books.org(org).map_or(0, |book| book.epoch());
        let certificate = Certificate::new(epoch, self.books.now(), items);
        self.books
            .retrying(org, || async {
                let Some(Versioned { mut noun, revision }) =
                    self.books.get::<Containment>(org, id.as_str()).await?
                else {
                    return Ok(((), None));
                };
                noun.certificates.push(certificate.clone());
                let mut event = Event::new(
                    EventKind::ContainmentCertified,
                    self.books.now(),
                    Principal::Remit,
                )
                .about(id)
                .fact("epoch", certificate.epoch)
                .fact("items", certificate.items.len())
                .fact("residual", certificate.residual)
                .fact("final", certificate.is_final);
                if certificate.items.len() <= ITEMS_IN_ENTRY_MAX {
                    event = event.content("certificate", &certificate);
                }
                Ok(((), Some(Change::new().update(&noun, revision).event(event))))
            })
            .await
    }

    /// Everything derived, each as it is found now.
    async fn items(
        &self,
        org: &OrgId,
        containment: &Containment,
        what: &Stopped,
    ) -> Result<Vec<Item>, ControlError> {
        let mut items = Vec::new();
        for run in &what.runs {
            items.push(self.run_item(org, run).await?);
        }
        for (token, (run, expires)) in &what.tokens {
            let label = format!("token of run {run}, until {expires}");
            let status = self.token_status(org, what, token).await?;
            items.push(item("token", token, label, status));
        }
        for (svid, (form, expires)) in &what.svids {
            let label = format!("{}-SVID, until {expires}", super::preview::form(*form));
            let status = self.svid_status(org, svid).await?;
            items.push(item("svid", svid, label, status));
        }
        for key in &what.keys {
            items.push(self.key_item(org, containment, key).await?);
        }
        for id in &what.delegations {
            let Some(found) = self.books.get::<Delegation>(org, id.as_str()).await? else {
                continue;
            };
            items.push(self.delegation_item(org, containment, &found.noun)?);
        }
        for id in &what.approvals {
            let Some(found) = self.books.get::<Approval>(org, id.as_str()).await? else {
                continue;
            };
            let status = match found.noun.state {
                ApprovalState::Pending | ApprovalState::Approved => {
                    not_proved("it was not cancelled")
                }
                state => stopped(format!(
                    "it is {}, and the gateway uses only approved ones",
                    state.as_str()
                )),
            };
            items.push(item("approval", id, found.noun.tool.to_string(), status));
        }
        items.extend(self.call_items(org, what).await?);
        items.extend(self.lease_items(org, &what.runs).await?);
        for (run, label) in &what.processes {
            items.push(item(
                "upstream_process",
                run,
                label.clone(),
                stopped("the process or session was ended"),
            ));
        }
        Ok(items)
    }

    async fn run_item(&self, org: &OrgId, id: &RunId) -> Result<Item, ControlError> {
        let found = self.books.get::<Run>(org, id.as_str()).await?;
        let book = self.book(org)?;
        let registry = book.registry();
        let label = found
            .as_ref()
            .map(|r| names::workflow(&registry, &r.noun.workflow))
            .unwrap_or_default();
        let refused = registry.standing(id, self.books.now()).err();
        let status = match (found.map(|r| r.noun.state), refused) {
            (None, _) => not_proved("its record cannot be found"),
            (Some(RunState::Active), None) => not_proved("it still goes on"),
            (Some(state), refused) => {
                let state = match state {
                    RunState::Ended { at, .. } => format!("ended at {at}"),
                    RunState::Suspended => "suspended".to_owned(),
                    RunState::Active => "active by itself".to_owned(),
                };
                // The registry forgets what has ended; whoever calls in it is told that it has.
                let code = match refused.map(|r| r.code) {
                    None | Some(RefusalCode::RunUnknown) => RefusalCode::RunEnded,
                    Some(code) => code,
                };
                stopped(format!("{state}; a call in it is refused with `{code}`"))
            }
        };
        Ok(item("run", id, label, status))
    }

    /// A token that was revoked has stopped where Remit is asked, and ends by itself where it is not.
    async fn token_status(
        &self,
        org: &OrgId,
        what: &Stopped,
        token: &str,
    ) -> Result<ItemStatus, ControlError> {
        let Some(found) = self.books.get::<Token>(org, token).await? else {
            return Ok(not_proved("its record cannot be found"));
        };
        let token = found.noun;
        if token.expires <= self.books.now() {
            return Ok(stopped(format!("it expired at {}", token.expires)));
        }
        if token.revoked.is_none() {
            return Ok(not_proved("it was not revoked"));
        }
        if token.outside.is_some() {
            return Ok(ItemStatus::Bounded {
                until: token.expires,
                why: "an identity assertion: no other is made, but its authorization server may take it until it expires, and what that gave for it is that server's to end".to_owned(),
            });
        }
        let book = self.book(org)?;
        let enforced = book
            .registry()
            .agents
            .get(&what.agent)
            .map(|a| a.profile.enforcement);
        Ok(match enforced {
            Some(Enforcement::Gateway) => {
                stopped("revoked; introspection says inactive, and the gateway, its only audience, looks that up at every call")
            }
            _ => ItemStatus::Bounded {
                until: token.expires,
                why: "revoked, but an enforcement point outside the gateway may believe its signature until it expires".to_owned(),
            },
        })
    }

    /// An SVID is believed by whoever knows the trust domain's bundle, without asking: it ends by itself.
    async fn svid_status(&self, org: &OrgId, svid: &str) -> Result<ItemStatus, ControlError> {
        let Some(found) = self.books.get::<Svid>(org, svid).await? else {
            return Ok(not_proved("its record cannot be found"));
        };
        let svid = found.noun;
        Ok(if svid.expires <= self.books.now() {
            stopped(format!("it expired at {}", svid.expires))
        } else if svid.withdrawn.is_none() {
            not_proved("it was not withdrawn")
        } else {
            let why = "withdrawn, so that Remit takes it no more and issues no other; whoever checks it by the trust domain's bundle alone believes it until it expires";
            ItemStatus::Bounded {
                until: svid.expires,
                why: why.to_owned(),
            }
        })
    }

    async fn key_item(
        &self,
        org: &OrgId,
        containment: &Containment,
        thumbprint: &str,
    ) -> Result<Item, ControlError> {
        let found = self.books.get::<AgentKey>(org, thumbprint).await?;
        let book = self.book(org)?;
        let registry = book.registry();
        let label = found
            .as_ref()
            .map(|k| names::agent(&registry, &k.noun.agent))
            .unwrap_or_default();
        let status = match found.map(|k| k.noun) {
            Some(key) if key.removed.is_some() => {
                stopped("removed; the token endpoint refuses what it signs")
            }
            Some(key) => {
                let held = registry
                    .containment_of(&[Target::Credential(thumbprint.to_owned())])
                    .is_some()
                    || registry.standing_agent(&key.agent).is_err();
                if held && containment.level != Level::Kill {
                    stopped("the token endpoint refuses what it signs while the containment stands")
                } else {
                    not_proved("it was not removed")
                }
            }
            None => not_proved("its record cannot be found"),
        };
        Ok(item("key", thumbprint, label, status))
    }

    fn delegation_item(
        &self,
        org: &OrgId,
        containment: &Containment,
        d: &Delegation,
    ) -> Result<Item, ControlError> {
        let book = self.book(org)?;
        let registry = book.registry();
        let now = self.books.now();
        let label = format!(
            "{} to {}",
            names::principal(&registry, &d.from),
            names::agent(&registry, &d.to)
        );
        let status = if !d.is_live(now) {
            stopped("revoked; every chain through it is refused with `chain-broken`")
        } else if containment.level != Level::Kill
            && registry
                .standing_chain(Some(&d.person), &chain_to(&registry, d), now)
                .is_err()
        {
            stopped(
                "every chain through it is refused with `contained` while the containment stands",
            )
        } else if registry.standing_agent(&d.to).is_err()
            || registry.standing_workflow(&d.to, &d.workflow).is_err()
        {
            stopped("who may act under it is refused with `contained` while the containment stands")
        } else if containment.level != Level::Kill && matches!(containment.target, Target::Run(_)) {
            stopped("its run is suspended, and every run below that one is refused with it")
        } else {
            not_proved("it was not revoked")
        };
        Ok(item("delegation", &d.id, label, status))
    }

    /// Calls on their way: those of this node are waited for, briefly; those of other nodes are known only by what the store
    /// says of them.
    async fn call_items(&self, org: &OrgId, what: &Stopped) -> Result<Vec<Item>, ControlError> {
        let until = tokio::time::Instant::now() + FLIGHT_WAIT;
        let mut items = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for mut flight in self.books.in_flight().of(org, |f| what.holds(f)) {
            let progress = tokio::time::timeout_at(until, flight.over())
                .await
                .unwrap_or_else(|_| flight.progress());
            seen.insert(flight.decision.clone());
            items.push(item(
                "call",
                &flight.decision,
                flight.tool.to_string(),
                flight_status(what, &flight, progress),
            ));
        }
        self.books.store().flush().await?;
        for call in self.books.store().open_calls(org, OPEN_CALLS_MAX).await? {
            if !what.holds_open(&call) || seen.contains(&call.decision) {
                continue;
            }
            let why = if call.node == self.books.node() {
                "it was sent before this node started again, and its outcome was not recorded"
                    .to_owned()
            } else {
                format!(
                    "node {} has it, and its outcome is not recorded yet",
                    call.node
                )
            };
            items.push(item("call", &call.decision, call.tool, not_proved(why)));
        }
        Ok(items)
    }

    /// The calls on their way that are contained with a target, with their tools: those of this node, and those that only the
    /// store knows.
    pub(super) async fn open_calls_of(
        &self,
        org: &OrgId,
        what: &Stopped,
    ) -> Result<Vec<(DecisionId, String)>, ControlError> {
        let flights = self.books.in_flight().of(org, |f| what.holds(f));
        let mut calls: std::collections::BTreeMap<_, _> = flights
            .into_iter()
            .map(|f| (f.decision, f.tool.to_string()))
            .collect();
        self.books.store().flush().await?;
        for call in self.books.store().open_calls(org, OPEN_CALLS_MAX).await? {
            if what.holds_open(&call) {
                calls.entry(call.decision).or_insert(call.tool);
            }
        }
        Ok(calls.into_iter().collect())
    }

    /// Draws up the final certificates that are due: of containments that stand, whose last bound has passed or whose calls
    /// have come back meanwhile. Also the first one of a containment whose node stopped before it drew it up. Returns how many.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn finalize_due(&self, org: &OrgId) -> Result<u32, ControlError> {
        let standing: Vec<_> = self
            .book(org)?
            .registry()
            .containments
            .values()
            .cloned()
            .collect();
        let mut drawn_up = 0;
        for containment in standing {
            let Some(last) = containment.certificates.last() else {
                if self.resume(org, &containment).await? {
                    drawn_up += 1;
                }
                continue;
            };
            if last.is_final {
                continue;
            }
            let mut items = Vec::with_capacity(last.items.len());
            for old in &last.items {
                items.push(self.looked_at_again(org, old).await?);
            }
            let bounded = items
                .iter()
                .any(|i| matches!(i.status, ItemStatus::Bounded { .. }));
            if !bounded && items != last.items {
                self.keep_certificate(org, &containment.id, items).await?;
                drawn_up += 1;
            }
        }
        Ok(drawn_up)
    }

    /// The first certificate of a containment that has none: what it stopped is read from its entries. A node that is at it
    /// now is given the time a first certificate takes.
    async fn resume(&self, org: &OrgId, containment: &Containment) -> Result<bool, ControlError> {
        const UNDER_WAY_SECS: i64 = 30;
        if self.books.now().secs_since(containment.at) < UNDER_WAY_SECS {
            return Ok(false);
        }
        let filter = EntryFilter {
            kinds: vec![EventKind::Contained],
            since: Some(containment.at),
            ..EntryFilter::default()
        };
        let mut what: Option<Stopped> = None;
        for entry in self.books.opened_entries(org, &filter).await? {
            if entry.leaf.subject.as_deref() != Some(containment.id.as_str()) {
                continue;
            }
            let told = entry.body.and_then(|b| b.content.get("stopped").cloned());
            let told = told.and_then(|v| serde_json::from_value::<Stopped>(v).ok());
            match (&mut what, told) {
                (Some(all), Some(more)) => all.merge(more),
                (None, told) => what = told,
                (Some(_), None) => {}
            }
        }
        let Some(mut what) = what else {
            return Ok(false);
        };
        what.processes = self.end_run_processes(org, &what.runs).await;
        self.certify(org, &containment.id, what).await?;
        Ok(true)
    }

    async fn looked_at_again(&self, org: &OrgId, old: &Item) -> Result<Item, ControlError> {
        let now = self.books.now();
        let status = match (&old.status, old.kind.as_str()) {
            (ItemStatus::Bounded { .. } | ItemStatus::NotProved { .. }, LEASE) => {
                return self.lease_again(org, old).await;
            }
            (ItemStatus::Bounded { until, .. }, _) if *until <= now => {
                stopped(format!("it ended by itself at {until}"))
            }
            (ItemStatus::NotProved { .. }, "call") => match old.id.parse::<DecisionId>() {
                Ok(decision) => self.call_status(org, &decision, &old.status).await?,
                Err(_) => old.status.clone(),
            },
            (ItemStatus::NotProved { .. }, "run") => match old.id.parse::<RunId>() {
                Ok(run) => return self.run_item(org, &run).await,
                Err(_) => old.status.clone(),
            },
            _ => old.status.clone(),
        };
        Ok(Item {
            status,
            ..old.clone()
        })
    }

    /// What is known by now of a call that was on its way.
    async fn call_status(
        &self,
        org: &OrgId,
        decision: &DecisionId,
        old: &ItemStatus,
    ) -> Result<ItemStatus, ControlError> {
        let filter = EntryFilter {
            decision: Some(decision.clone()),
            ..EntryFilter::default()
        };
        for entry in self.books.opened_entries(org, &filter).await? {
            let status = entry
                .leaf
                .facts
                .get("status")
                .and_then(|s| s.as_str())
                .unwrap_or_default();
            match entry.leaf.kind {
                EventKind::CallCompleted if matches!(status, "ambiguous" | "cancelled") => {
                    let why = "it was sent and no answer came: its effect has to be looked up at the upstream";
                    return Ok(not_proved(format!("{why} (entry {})", entry.stored.index)));
                }
                EventKind::CallCompleted => {
                    return Ok(stopped(format!(
                        "its outcome `{status}` is recorded in entry {}",
                        entry.stored.index
                    )));
                }
                _ => {}
            }
        }
        Ok(old.clone())
    }
}

/// The chain that ends with a delegation, from the person's on.
fn chain_to(
    registry: &remit_domain::Registry,
    last: &Delegation,
) -> Vec<remit_domain::DelegationId> {
    let mut chain = vec![last.id.clone()];
    let mut above = last.parent.as_ref();
    while let Some(link) = above.and_then(|id| registry.delegations.get(id)) {
        if chain.len() > remit_domain::limits::CHAIN_DEPTH_MAX {
            break;
        }
        chain.push(link.id.clone());
        above = link.parent.as_ref();
    }
    chain.reverse();
    chain
}

fn flight_status(what: &Stopped, flight: &Flight, progress: Progress) -> ItemStatus {
    match progress {
        Progress::NeverSent => stopped("it was never sent"),
        Progress::Answered => {
            stopped("it was answered before it could be stopped; its outcome is recorded")
        }
        Progress::Waiting => {
            not_proved("it waits on this node, and reads the epoch before it is sent")
        }
        Progress::Sent => not_proved("it was sent and is not answered yet"),
        Progress::Unanswered => {
            // The process that served it is gone, so that it goes on no longer, whatever it did before.
            let served_by = |label: &str| {
                let mut words = label.split_whitespace();
                words.next() == Some("stdio")
                    && words.next() == Some(flight.tool.upstream().as_str())
            };
            match what
                .processes
                .iter()
                .find(|(run, label)| *run == flight.run && served_by(label))
            {
                Some((_, label)) => stopped(format!(
                    "the process that served it was ended ({label}); its effect has to be looked up"
                )),
                None => not_proved(
                    "it was sent and no answer came: its effect has to be looked up at the upstream",
                ),
            }
        }
    }
}
