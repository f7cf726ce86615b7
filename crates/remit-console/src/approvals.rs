//! Approvals: the queue beside the one that is looked at. What is shown is what runs.

mod say;
mod stand;

use askama::Template;
use remit_control::{ApprovalFilter, ApprovalView, BySession};
use remit_domain::ApprovalId;
use remit_domain::approval::ApprovalState;
use serde_json::Value;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::fault::Fault;
use crate::picture::Funnel;
use crate::range::Range;
use crate::route::{PERSON, Route, act, page};
use crate::text::Shown;
use crate::time::left;
use crate::ui::{
    Badge, Button, Cell, Code, Copy, Diff, Empty, Facts, Field, Filter, Form, Html, Input, Lines,
    Notice, Section, Tone,
};

/// Approvals looked at for the list and for what is similar.
const LIST: u32 = 200;
/// A week, in seconds.
const WEEK: i64 = 7 * 86_400;
/// Similar ones shown.
const SIMILAR: usize = 5;
/// Arguments, and characters of each, in a line of the queue.
const SHORT_ARGS: usize = 3;
const SHORT_CHARS: usize = 24;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        page("/approvals", PERSON, list),
        page("/approvals/{id}", PERSON, one),
        act("/approvals/{id}/approve", PERSON, approve),
        act("/approvals/{id}/approve-for-run", PERSON, stand::approve),
        act("/approvals/{id}/claim", PERSON, stand::claim),
        act("/approvals/{id}/release", PERSON, stand::release),
        act("/approvals/{id}/withdraw", PERSON, stand::withdraw),
        act("/approvals/{id}/deny", PERSON, deny),
        act("/approvals/{id}/edit", PERSON, say::edit),
        act("/approvals/{id}/question", PERSON, say::question),
        act("/approvals/{id}/answer", PERSON, say::answer),
        act("/approvals/{id}/give", PERSON, say::give),
    ]
}

/// One line of the queue.
struct Line {
    id: String,
    href: String,
    part: String,
    here: bool,
    effect: Badge,
    what: Shown,
    agent: Shown,
    left: String,
    /// Seconds that are left, of how many.
    now: i64,
    of: i64,
    state: Option<Badge>,
}

#[derive(Template)]
#[template(path = "approvals.html")]
struct Queue {
    at: String,
    view: &'static str,
    lines: Vec<Line>,
    newest: String,
    empty: Empty,
    filter: Filter,
    pane: Html,
    next: Option<String>,
    numbers: Html,
    passkey_js: &'static str,
}

#[derive(Template)]
#[template(path = "approval.html")]
struct Pane {
    at: String,
    id: Shown,
    tool: Shown,
    opens: Shown,
    state: Badge,
    effect: Badge,
    severe: bool,
    left: String,
    until: i64,
    waits: bool,
    will: Vec<(Shown, Shown)>,
    /// What cannot be laid out in a table, or all of it for those who want it exactly.
    exact: Code,
    why: Lines,
    who: Facts,
    asks: Html,
    verdicts: Html,
    similar: Vec<(String, Shown, Badge)>,
    may: Option<Form>,
    /// Whether a yes takes this person's passkey.
    by_passkey: bool,
    said: Html,
    edited: Option<Diff>,
    given: Option<Shown>,
    claimed: Option<Shown>,
    for_run: Option<Form>,
    claim: Option<Form>,
    withdraw: Option<Form>,
    edit: Option<Form>,
    ask: Option<Form>,
    answer: Option<Form>,
    give: Option<Form>,
    may_not: Option<Notice>,
    copy: Copy,
}

async fn list(ask: Ask) -> Result<Answer, Fault> {
    let view = match ask.q("view") {
        Some("mine") => "mine",
        Some("decided") => "decided",
        _ => "waiting",
    };
    let (caller, control) = (ask.caller()?, ask.control());
    let range = Range::of(&ask)?;
    let (items, next) = found(&ask, view, &range).await?;
    let chosen = match ask.q_as::<ApprovalId>("id")? {
        Some(id) => Some(control.approval(&caller, &id).await?),
        None => items.first().cloned(),
    };
    let pane = match &chosen {
        Some(approval) => pane(&ask, approval).await?,
        None => Html::default(),
    };
    // News are what came after this, whichever part of it is looked at.
    let known = ask.site.live.counts(&ask.site, &ask.place).await;
    let newest = items
        .iter()
        .map(|a| a.id.to_string())
        .chain([known.newest_approval])
        .max()
        .unwrap_or_default();
    let lines = items
        .iter()
        .map(|a| line(&ask, a, view, chosen.as_ref().map(|c| &c.id)))
        .collect();
    let empty = match view {
        "decided" => Empty::new("Nothing was decided yet", ""),
        _ => Empty::new(
            "No waiting requests",
            "When a policy says that people decide, the call waits here until somebody says yes or its time is over.",
        )
        .action(ask.to("/help/guides/approve-safely"), "How asking works")
        .commands(&["remit approval ls", "remit approval watch"]),
    };
    let queue = Queue {
        at: ask.place.at.clone(),
        view,
        lines,
        newest,
        empty,
        filter: bar(&ask, view, &range),
        pane,
        next,
        numbers: numbers(&ask, view).await?,
        passkey_js: crate::assets::address("passkey.js"),
    };
    let mut page = ask.page("Approvals").with(&queue);
    let labels = crate::labels::waiting(&ask).await?.len();
    if labels > 0 {
        let words = format!("Requests to take labels back: {labels}");
        let to = ask.to("/labels?state=requested");
        page = page.with(&Empty::default().action(to, &words));
    }
    page.ok()
}

/// The requests of that view in the order they are looked at, and where to go on.
async fn found(
    ask: &Ask,
    view: &str,
    range: &Range,
) -> Result<(Vec<ApprovalView>, Option<String>), Fault> {
    let filter = ApprovalFilter {
        state: (view != "decided").then_some(ApprovalState::Pending),
        mine: view == "mine",
        after: ask.q_as("after")?,
        limit: Some(LIST),
        since: range.between.since,
        until: range.between.until,
    };
    let listing = ask.control().approvals(&ask.caller()?, &filter).await?;
    let mut items = listing.items;
    if view == "decided" {
        items.retain(|a| a.state != ApprovalState::Pending);
    } else {
        // What hurts most and what ends first stand on top.
        let me = ask.session()?.person.email.to_string();
        items.sort_by_key(|a| {
            let mine = a.given_to.as_deref() == Some(me.as_str());
            (!mine, !a.is_severe, a.expires)
        });
    }
    if let Some(wanted) = ask.q("agent") {
        items.retain(|a| a.agent.contains(wanted));
    }
    Ok((items, ask.next(listing.next)))
}

/// What waits waits for minutes; times are asked for where it was decided.
fn bar(ask: &Ask, view: &'static str, range: &Range) -> Filter {
    let filter = Filter::new(ask.to("/approvals")).kept("view", view).search(
        "agent",
        "Agent",
        ask.q("agent"),
    );
    match view {
        "decided" => range.fields(ask, filter),
        _ => filter,
    }
}

/// Whether people are the bottleneck, beside what they decided.
async fn numbers(ask: &Ask, view: &str) -> Result<Html, Fault> {
    if view != "decided" {
        return Ok(Html::default());
    }
    let funnel = ask.control().approval_funnel(&ask.caller()?, WEEK).await?;
    let picture = Funnel::new(&funnel, |state| match state {
        "pending" => ask.to("/approvals"),
        _ => ask.to("/approvals?view=decided"),
    });
    Ok(Html::of(
        &Section::new("numbers", "Last 7 days").with(&picture),
    ))
}

fn line(ask: &Ask, a: &ApprovalView, view: &str, chosen: Option<&ApprovalId>) -> Line {
    let until = a.expires.secs_since(ask.now());
    let waits = a.state == ApprovalState::Pending;
    Line {
        id: a.id.to_string(),
        href: ask.to(&format!("/approvals?view={view}&id={}", a.id)),
        part: ask.to(&format!("/approvals/{}", a.id)),
        here: chosen == Some(&a.id),
        effect: effect(a),
        what: Shown::line(short(a)),
        agent: Shown::line(match &a.person {
            Some(person) => format!("{} for {person}", a.agent),
            None => a.agent.clone(),
        }),
        left: if waits { left(until) } else { String::new() },
        now: until.max(0),
        of: a.expires.secs_since(a.requested).max(1),
        state: (!waits).then(|| Badge::new(a.state.as_str())),
    }
}

/// The call in a few words, for a line of the queue; what is decided on is the whole.
fn short(a: &ApprovalView) -> String {
    let args = a.args.as_object().into_iter().flatten();
    let told: Vec<String> = args
        .take(SHORT_ARGS)
        .map(|(name, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), ToOwned::to_owned);
            format!(
                "{name} {}",
                text.chars().take(SHORT_CHARS).collect::<String>()
            )
        })
        .collect();
    if told.is_empty() {
        a.tool.to_string()
    } else {
        format!("{}: {}", a.tool, told.join(", "))
    }
}

fn effect(a: &ApprovalView) -> Badge {
    let word = a.effect.unwrap_or("unclassified");
    let (class, sign) = if a.is_severe {
        ("bad", "!")
    } else if matches!(word, "read" | "draft") {
        ("plain", "·")
    } else {
        ("warn", "▲")
    };
    Badge {
        word: Shown::line(word),
        class,
        sign,
    }
}

async fn one(ask: Ask) -> Result<Answer, Fault> {
    let approval = ask
        .control()
        .approval(&ask.caller()?, &ask.named("id")?)
        .await?;
    let pane = pane(&ask, &approval).await?;
    if ask.part {
        return Ok(Answer::Part(pane));
    }
    ask.page(format!("Approval: {}", approval.tool))
        .html(pane)
        .with(&Script {
            js: crate::assets::address("passkey.js"),
        })
        .ok()
}

/// The script that proves with a passkey.
#[derive(Template)]
#[template(source = "<script src=\"{{ js }}\" defer></script>", ext = "html")]
struct Script {
    js: &'static str,
}

/// Arguments, one line each; deeper ones as JSON.
fn laid_out(args: &Value) -> Vec<(Shown, Shown)> {
    let Some(all) = args.as_object() else {
        return Vec::new();
    };
    let text = |value: &Value| match value {
        Value::String(text) => Shown::whole(text),
        other => Shown::json(other),
    };
    all.iter()
        .map(|(name, value)| (Shown::line(name), text(value)))
        .collect()
}

async fn pane(ask: &Ask, a: &ApprovalView) -> Result<Html, Fault> {
    let until = a.expires.secs_since(ask.now());
    let waits = a.state == ApprovalState::Pending;
    let may_not = a.you_may_not.as_ref().filter(|_| waits);
    let may = waits && may_not.is_none();
    let by_passkey = may && a.is_severe && has_passkey(ask).await?;
    let pane = Pane {
        at: ask.place.at.clone(),
        by_passkey,
        said: say::so_far(ask, a),
        edited: say::edited(a),
        given: say::handed(a),
        claimed: stand::claimed(ask, a),
        for_run: (may && a.may_stand).then(|| stand::for_run_form(ask, a)),
        claim: may.then(|| stand::claim_form(ask, a)).flatten(),
        withdraw: a.you_may_withdraw.then(|| stand::withdraw_form(ask, a)),
        edit: may.then(|| say::edit_form(ask, a)),
        ask: a.you_may_ask.then(|| say::question_form(ask, a)),
        answer: a.you_may_answer.then(|| say::answer_form(ask, a)),
        give: may.then(|| say::give_form(ask, a)).flatten(),
        id: Shown::line(&a.id),
        tool: Shown::line(&a.tool),
        opens: Shown::block(&a.opens),
        state: Badge::new(a.state.as_str()),
        effect: effect(a),
        severe: a.is_severe,
        left: left(until),
        until,
        waits,
        will: laid_out(&a.args),
        exact: Code::new("Exactly these arguments", Shown::json(&a.args)),
        why: Lines::new(&a.reasons),
        who: who(ask, a),
        asks: asks(a),
        verdicts: verdicts(ask, a),
        similar: similar(ask, a).await?,
        may: may.then(|| decide(ask, a, by_passkey)),
        may_not: may_not.map(|why| Notice::new("plain", format!("You may not decide this: {why}"))),
        copy: Copy::get(
            &format!("approval approve {}", a.id),
            &ask.place.base,
            &format!("/approvals/{}", a.id),
        ),
    };
    Ok(Html::of(&pane))
}

async fn has_passkey(ask: &Ask) -> Result<bool, Fault> {
    let person = &ask.session()?.person.id;
    let held = ask.issuer().passkeys(ask.place.org(), person).await?;
    Ok(!held.is_empty())
}

fn decide(ask: &Ask, a: &ApprovalView, by_passkey: bool) -> Form {
    let key = if a.is_severe { "Shift+A" } else { "a" };
    let yes = if by_passkey {
        Button::new("Approve with passkey", Tone::Main).step_up(&a.digest)
    } else {
        Button::new("Approve once", Tone::Main)
    };
    ask.form("decide", &format!("/approvals/{}/approve", a.id))
        .field(
            Field::new("reason", "Reason", Input::Line)
                .hint("Kept with the decision. The agent is not told."),
        )
        .with(yes.key(key))
        .with(
            Button::new("Deny", Tone::Danger)
                .to(ask.to(&format!("/approvals/{}/deny", a.id)))
                .key("d"),
        )
}

fn who(ask: &Ask, a: &ApprovalView) -> Facts {
    let intent = a.intent.as_ref();
    Facts::new()
        .row(
            "Agent",
            Cell::link(ask.to_named("/agents", &a.agent, ""), &a.agent),
        )
        .row("Workflow", Cell::text(&a.workflow))
        .maybe("For", a.person.as_ref().map(Cell::text))
        .maybe("Purpose", intent.map(|i| Cell::block(&i.purpose)))
        .maybe(
            "Ticket",
            intent.and_then(|i| i.ticket.as_ref()).map(Cell::text),
        )
        .row("Tool", Cell::text(&a.tool))
        .maybe("System", a.system.as_ref().map(Cell::text))
        .row(
            "Run",
            Cell::link(ask.to(&format!("/runs/{}", a.run)), &a.run),
        )
        .row(
            "Decision",
            Cell::link(ask.to(&format!("/decisions/{}", a.decision)), &a.decision),
        )
        .row("Opens", Cell::text(stand::opens(a)))
        .row("Asked", ask.when(a.requested).with_exact())
        .row("Ends", ask.when(a.expires).with_exact())
        .row("Call digest", Cell::code(&a.digest))
        .row("Definition", Cell::code(&a.definition_hash))
}

fn asks(a: &ApprovalView) -> Html {
    let rows = a.asks.iter().fold(Facts::new(), |facts, policy| {
        let have = format!("{} of {}", policy.approved_by.len(), policy.quorum);
        let by = policy.approvers.join(", ");
        let mut lines = vec![format!("{have} yes; asks {by}")];
        lines.extend(
            policy
                .escalates
                .iter()
                .filter(|step| !step.is_due)
                .map(|step| format!("from {} also {}", step.at, step.approvers.join(", "))),
        );
        facts.row(&Shown::line(&policy.policy).to_string(), Cell::lines(lines))
    });
    let rows = if a.routing.is_empty() {
        rows
    } else {
        rows.row("On call", Cell::lines(a.routing.clone()))
    };
    let rows = if a.four_eyes {
        rows.row("Four eyes", "nobody approves what is done for themselves")
    } else {
        rows
    };
    let who: Vec<String> = a
        .may_approve
        .iter()
        .map(|(address, name)| format!("{name} ({address})"))
        .collect();
    Html::of(&rows.row("May say yes now", Cell::lines(who)))
}

fn verdicts(ask: &Ask, a: &ApprovalView) -> Html {
    if a.verdicts.is_empty() {
        return Html::default();
    }
    let lines = a.verdicts.iter().map(|v| {
        let verdict = if v.approve { "yes" } else { "no" };
        let reason = v
            .reason
            .as_ref()
            .map(|r| format!(": {r}"))
            .unwrap_or_default();
        let how = if v.with_passkey {
            " with a passkey"
        } else {
            ""
        };
        let for_run = v.for_run.as_ref();
        let for_run = for_run.map(|t| format!(" for the run ({t})"));
        format!(
            "{verdict}{} by {}{how}, {}{reason}",
            for_run.unwrap_or_default(),
            v.person,
            ask.when(v.at).relative
        )
    });
    Html::of(&Lines::new(lines))
}

/// Earlier requests of the same tool by the same agent, and what became of them.
async fn similar(ask: &Ask, a: &ApprovalView) -> Result<Vec<(String, Shown, Badge)>, Fault> {
    let filter = ApprovalFilter {
        limit: Some(LIST),
        ..ApprovalFilter::default()
    };
    let all = ask
        .control()
        .approvals(&ask.caller()?, &filter)
        .await?
        .items;
    let same = all
        .iter()
        .filter(|b| b.id != a.id && b.tool == a.tool && b.agent == a.agent);
    Ok(same
        .take(SIMILAR)
        .map(|b| {
            (
                ask.to(&format!("/approvals/{}", b.id)),
                Shown::line(short(b)),
                Badge::new(b.state.as_str()),
            )
        })
        .collect())
}

/// What the session knows of whoever decides in it.
async fn by_session(ask: &Ask) -> Result<BySession, Fault> {
    let proved = ask.session()?.proved.clone();
    Ok(BySession {
        has_passkey: has_passkey(ask).await?,
        proved: proved.map(|p| (p.digest, p.passkey, p.at)),
    })
}

async fn approve(ask: Ask) -> Result<Answer, Fault> {
    let session = by_session(&ask).await?;
    let (caller, reason) = (ask.caller()?, ask.given("reason"));
    let approval = ask
        .control()
        .approve_in_session(&caller, &ask.named("id")?, reason, &session)
        .await?;
    let what = if approval.state == ApprovalState::Pending {
        "counted"
    } else {
        "approved"
    };
    after(&ask, what)
}

async fn deny(ask: Ask) -> Result<Answer, Fault> {
    ask.control()
        .deny(&ask.caller()?, &ask.named("id")?, ask.given("reason"))
        .await?;
    after(&ask, "denied")
}

/// On to the next one: an approver who works through the queue never goes back by hand.
fn after(ask: &Ask, what: &str) -> Result<Answer, Fault> {
    ask.done("/approvals?view=mine", what)
}
