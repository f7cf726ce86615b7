//! Who looks into a request, a yes for the run, and taking one back.

use remit_control::ApprovalView;
use remit_domain::ApprovalId;
use remit_domain::approval::{RUN_COUNT_MAX, RUN_SECS_MAX, RunTerms};

use crate::answer::Answer;
use crate::ask::Ask;
use crate::fault::Fault;
use crate::text::Shown;
use crate::ui::{Field, Form, Input, Tone};

/// Calls and minutes that stand in the form before anybody changes them.
const COUNT: &str = "5";
const MINUTES: &str = "30";

fn at(a: &ApprovalView, verb: &str) -> String {
    format!("/approvals/{}/{verb}", a.id)
}

/// What a yes opens, or has opened.
pub(super) fn opens(a: &ApprovalView) -> String {
    match &a.for_run {
        Some(terms) => format!("{} ({} of {} used)", terms.text, terms.used, terms.count),
        None => "this one call, once, before it ends".to_owned(),
    }
}

pub(super) fn for_run_form(ask: &Ask, a: &ApprovalView) -> Form {
    ask.form("for-run", &at(a, "approve-for-run"))
        .field(
            Field::new("count", "Calls", Input::Line)
                .hint(&format!("This one included, at most {RUN_COUNT_MAX}."))
                .value(COUNT)
                .required(),
        )
        .field(
            Field::new("minutes", "Minutes", Input::Line)
                .hint(&format!(
                    "At most {}, and no longer than the run.",
                    RUN_SECS_MAX / 60
                ))
                .value(MINUTES)
                .required(),
        )
        .field(
            Field::new("bounds", "What arguments may be (JSON)", Input::Area(3))
                .hint("What is not named here stays exactly as shown. Like {\"amount\": [{\"decimal\": {\"max\": 50}}]}")
                .value("{}")
                .required(),
        )
        .field(Field::new("reason", "Reason", Input::Line).hint("Kept with the decision."))
        .button("Approve for this run", Tone::Plain)
}

/// A button to look into it, or to stop; none while somebody else does.
pub(super) fn claim_form(ask: &Ask, a: &ApprovalView) -> Option<Form> {
    let me = ask.session.as_ref()?.person.email.to_string();
    let (verb, words) = match &a.claimed_by {
        None => ("claim", "I look into it"),
        Some(by) if *by == me => ("release", "I do not look into it"),
        Some(_) => return None,
    };
    let form = ask.form("claim", &at(a, verb));
    Some(form.button(words, Tone::Plain).inline())
}

pub(super) fn withdraw_form(ask: &Ask, a: &ApprovalView) -> Form {
    ask.form("withdraw", &at(a, "withdraw"))
        .field(Field::new("reason", "Why", Input::Line).hint("Kept with the decision."))
        .button("Take the yes back", Tone::Danger)
}

/// Who looks into it, in a sentence.
pub(super) fn claimed(ask: &Ask, a: &ApprovalView) -> Option<Shown> {
    let (by, until) = (a.claimed_by.as_ref()?, a.claimed_until?);
    Some(Shown::line(format!(
        "{by} looks into it, until {}. Others may decide it all the same.",
        ask.when(until).relative
    )))
}

pub(super) async fn approve(ask: Ask) -> Result<Answer, Fault> {
    let id: ApprovalId = ask.named("id")?;
    let number = |name: &str| {
        let given = ask.field(name).trim().parse::<u32>();
        given.map_err(|_| Fault::invalid(format!("`{name}` is not a whole number")))
    };
    let bounds = serde_json::from_str(ask.field("bounds"))
        .map_err(|e| Fault::invalid(format!("the bounds are not JSON bounds: {e}")))?;
    let terms = RunTerms {
        count: number("count")?,
        secs: number("minutes")?.saturating_mul(60),
        bounds,
    };
    let session = super::by_session(&ask).await?;
    let (caller, reason) = (ask.caller()?, ask.given("reason"));
    let control = ask.control();
    let approved = control.approve_for_run(&caller, &id, reason, terms, Some(&session));
    let what = match approved.await?.for_run {
        Some(_) => "approved_for_run",
        None => "counted",
    };
    super::after(&ask, what)
}

pub(super) async fn claim(ask: Ask) -> Result<Answer, Fault> {
    let id: ApprovalId = ask.named("id")?;
    ask.control().claim_approval(&ask.caller()?, &id).await?;
    ask.done(&format!("/approvals?id={id}"), "claimed")
}

pub(super) async fn release(ask: Ask) -> Result<Answer, Fault> {
    let id: ApprovalId = ask.named("id")?;
    ask.control().release_approval(&ask.caller()?, &id).await?;
    ask.done(&format!("/approvals?id={id}"), "released")
}

pub(super) async fn withdraw(ask: Ask) -> Result<Answer, Fault> {
    let id: ApprovalId = ask.named("id")?;
    let (caller, reason) = (ask.caller()?, ask.given("reason"));
    let control = ask.control();
    control.withdraw_approval(&caller, &id, reason).await?;
    ask.done(&format!("/approvals/{id}"), "taken_back")
}
