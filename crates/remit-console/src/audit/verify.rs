//! Verifying the whole ledger. It goes on while its page tells how far it is, and the answer waits there for whoever asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use askama::Template;
use remit_control::Verification;
use remit_domain::{OrgId, PersonId, RefusalCode, Timestamp};
use tokio::sync::watch;

use super::ribbon;
use crate::answer::Answer;
use crate::ask::Ask;
use crate::fault::{Fault, capitalized};
use crate::limits::{VERIFICATION_KEPT_SECS, VERIFICATION_WAIT, VERIFICATIONS_MAX};
use crate::text::Shown;
use crate::ui::{Cell, Code, Empty, Facts, Field, Html, Input, Notice, Row, Section, Table, Tone};

/// Seconds after which a page without scripts looks again.
const AGAIN_SECS: u8 = 2;

/// How far one is.
#[derive(Clone, Default)]
struct Progress {
    read: u64,
    of: u64,
    done: Option<Arc<Result<Verification, Fault>>>,
}

struct Begun {
    at: Timestamp,
    progress: watch::Receiver<Progress>,
}

impl Begun {
    fn is_going_on(&self) -> bool {
        // Who tells goes away with its last word.
        self.progress.borrow().done.is_none() && self.progress.has_changed().is_ok()
    }
}

/// What is verified now or was lately: one of each person.
#[derive(Default)]
pub(crate) struct Verifications(Mutex<BTreeMap<(OrgId, PersonId), Begun>>);

impl Verifications {
    fn of(&self, who: &(OrgId, PersonId)) -> Option<watch::Receiver<Progress>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(who).map(|begun| begun.progress.clone())
    }

    /// None where one of this person goes on already.
    fn begin(
        &self,
        who: (OrgId, PersonId),
        at: Timestamp,
    ) -> Result<Option<watch::Sender<Progress>>, Fault> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, one| one.is_going_on() || at.secs_since(one.at) < VERIFICATION_KEPT_SECS);
        if all.get(&who).is_some_and(Begun::is_going_on) {
            return Ok(None);
        }
        if all.len() >= VERIFICATIONS_MAX && !all.contains_key(&who) {
            return Err(Fault::refused(
                RefusalCode::Limited,
                "too many ledgers are verified now; try again in some minutes",
            ));
        }
        let (teller, progress) = watch::channel(Progress::default());
        all.insert(who, Begun { at, progress });
        Ok(Some(teller))
    }
}

fn who(ask: &Ask) -> Result<(OrgId, PersonId), Fault> {
    let person = ask.session()?.person.id.clone();
    Ok((ask.place.org().clone(), person))
}

pub(super) async fn page_of(ask: Ask) -> Result<Answer, Fault> {
    ask.page("Verify the ledger").with(&asked(&ask)).ok()
}

fn asked(ask: &Ask) -> Section {
    let form = ask
        .form("verify", "/audit/verify")
        .field(
            Field::new(
                "kept",
                "A checkpoint that was kept elsewhere",
                Input::Area(6),
            )
            .hint("With it, a truncated or forked ledger is noticed too."),
        )
        .button("Verify", Tone::Main);
    Section::new("verify-it", "Verify the ledger")
        .note("Every entry is read again, hashed, and held against what was signed. It takes some seconds for a million entries; the page says how far it is.")
        .with(&form)
}

pub(super) async fn begin(ask: Ask) -> Result<Answer, Fault> {
    let (who, caller, kept) = (who(&ask)?, ask.caller()?, ask.given("kept"));
    if let Some(teller) = ask.site.verifications.begin(who.clone(), ask.now())? {
        let control = ask.control().clone();
        // It goes on when its page is left.
        tokio::spawn(async move {
            let told = |read, of| {
                teller.send_modify(|progress| (progress.read, progress.of) = (read, of));
            };
            let done = control
                .verify_and_tell(&caller, kept.as_deref(), &told)
                .await;
            teller.send_modify(|progress| {
                progress.done = Some(Arc::new(done.map_err(Fault::from)));
            });
        });
    }
    // A small ledger is done before anybody has looked up.
    if let Some(mut progress) = ask.site.verifications.of(&who) {
        let done = progress.wait_for(|now| now.done.is_some());
        let _ = tokio::time::timeout(VERIFICATION_WAIT, done).await;
    }
    Ok(Answer::See(ask.to("/audit/verify/now")))
}

#[derive(Template)]
#[template(path = "verifying.html")]
struct Verifying {
    /// Where it is asked again; none where it is done.
    again: Option<String>,
    read: u64,
    of: u64,
    percent: u64,
    parts: Vec<Html>,
}

pub(super) async fn now(ask: Ask) -> Result<Answer, Fault> {
    let Some(progress) = ask.site.verifications.of(&who(&ask)?) else {
        return Ok(Answer::See(ask.to("/audit/verify")));
    };
    let broke_off = progress.has_changed().is_err();
    let now = progress.borrow().clone();
    let going_on = now.done.is_none() && !broke_off;
    let mut parts = Vec::new();
    match now.done.as_deref() {
        Some(Ok(verified)) => {
            let broken: Vec<u64> = verified.mismatches.iter().filter_map(|m| m.index).collect();
            parts.push(Html::of(&says(verified)));
            parts.push(Html::of(&ribbon(&ask, &broken).await?));
            parts.push(Html::of(&report(&ask, verified)));
        }
        Some(Err(fault)) => parts.push(failed(&capitalized(&fault.text()))),
        None if broke_off => parts.push(failed("It broke off. Verify again.")),
        None => {}
    }
    if !going_on {
        parts.push(Html::of(&asked(&ask)));
    }
    let shown = Verifying {
        again: going_on.then(|| ask.to("/audit/verify/now")),
        read: now.read,
        of: now.of,
        percent: (now.read * 100).checked_div(now.of).unwrap_or(0),
        parts,
    };
    if ask.part {
        return Ok(Answer::Part(Html::of(&shown)));
    }
    ask.page("Verify the ledger")
        .again(going_on.then_some(AGAIN_SECS))
        .with(&shown)
        .ok()
}

fn failed(text: &str) -> Html {
    Html::of(&Notice::new("bad", text))
}

fn says(v: &Verification) -> Notice {
    if v.ok {
        return Notice::new(
            "good",
            format!("Intact: {} entries are as they were signed.", v.entries),
        );
    }
    let mut notice = Notice::new(
        "bad",
        format!(
            "NOT intact: {} mismatches. Keep everything as it is and start an incident.",
            v.mismatches_count
        ),
    );
    notice.more = v
        .mismatches
        .iter()
        .take(50)
        .map(|m| {
            Shown::block(format!(
                "{}{}",
                m.index.map(|i| format!("#{i}: ")).unwrap_or_default(),
                m.what
            ))
        })
        .collect();
    notice
}

fn report(ask: &Ask, v: &Verification) -> Section {
    let gaps = v.gaps.iter().take(100).map(|g| {
        Row::new(
            g.index,
            vec![
                Cell::link(
                    ask.to(&format!("/audit/{}", g.index)),
                    format!("#{}", g.index),
                ),
                Cell::link(ask.to(&format!("/decisions/{}", g.decision)), &g.decision),
                Cell::text(crate::agents::word(&g.state)),
            ],
        )
    });
    let facts = Facts::new()
        .row("Origin", Cell::code(&v.origin))
        .row("Root", Cell::code(&v.root))
        .maybe(
            "Kept checkpoint",
            v.kept
                .map(|n| Cell::text(format!("agrees, at {n} entries"))),
        )
        .row("Decisions", Cell::number(v.decisions))
        .row("Outcomes", Cell::number(v.outcomes))
        .row("Opened", Cell::number(v.opened))
        .row("Shredded", Cell::number(v.shredded))
        .row("Replayable", Cell::number(v.replayable));
    let table = Table::new(
        "gaps",
        "Calls without a known outcome",
        &["Entry", "Decision", "State"],
        Empty::new(
            "No gaps",
            "Every call that was let through has its outcome.",
        ),
    )
    .rows(gaps);
    Section::new("report", "What was found")
        .with(&facts)
        .with(&Code::new("Checkpoint: keep it elsewhere", &v.checkpoint))
        .with(&table)
}
