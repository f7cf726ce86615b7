//! Rules on calls beside policies: settings level by level, limits with what is used of them, freezes, the circuit breaker
//! and what is known of tickets.

mod breaker;
mod freezes;
mod limits;
mod settings;
mod tickets;

use crate::agents::yaml_text;
use crate::answer::Page;
use crate::ask::Ask;
use crate::fault::{Fault, capitalized};
use crate::route::{ADMIN, PERSON, RESPONDER_ADMIN, Route, act, page};
use crate::text::Shown;
use crate::ui::{Copy, Field, Form, Header, Input, Notice, Section, Tone};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        page("/rules", PERSON, settings::list),
        act("/rules", ADMIN, settings::put),
        page("/rules/setting", PERSON, settings::one),
        act("/rules/setting/remove", ADMIN, settings::remove),
        page("/rules/explain", PERSON, settings::explain),
        page("/rules/limits", PERSON, limits::list),
        act("/rules/limits", ADMIN, limits::put),
        page("/rules/limits/{name}", PERSON, limits::one),
        act("/rules/limits/{name}", ADMIN, limits::switch),
        page("/rules/freezes", PERSON, freezes::list),
        act("/rules/freezes", ADMIN, freezes::put),
        page("/rules/freezes/{name}", PERSON, freezes::one),
        act("/rules/freezes/{name}", ADMIN, freezes::switch),
        page("/rules/breaker", PERSON, breaker::show),
        act("/rules/breaker", ADMIN, breaker::put),
        page("/rules/tickets", PERSON, tickets::list),
        act("/rules/tickets", RESPONDER_ADMIN, tickets::put),
        act("/rules/documents", ADMIN, documents),
    ]
}

/// The header that all of them share.
fn header(ask: &Ask, here: &str, copy: &Copy) -> Header {
    let mut header = Header::new("Govern", "Rules on calls").copy(copy);
    for (after, words) in [
        ("", "Settings"),
        ("/explain", "Explain settings"),
        ("/limits", "Limits"),
        ("/freezes", "Freezes and windows"),
        ("/breaker", "Circuit breaker"),
        ("/tickets", "Tickets"),
    ] {
        header = header.tab(ask.to(&format!("/rules{after}")), words, after == here);
    }
    header
}

/// A record as a document.
fn document(kind: &str, name: &str, spec: &impl serde::Serialize) -> String {
    yaml_text(&serde_json::json!({
        "apiVersion": "remit.dev/v1",
        "kind": kind,
        "metadata": { "name": name },
        "spec": spec,
    }))
}

/// A form that applies a document, for everything that the form beside it has no field for.
fn by_yaml(ask: &Ask, text: &str, back: &str) -> Section {
    let form = ask
        .form("by-yaml", "/rules/documents")
        .field(Field::hidden("back", back))
        .field(
            Field::new("document", "Document", Input::Area(18))
                .value(text)
                .required(),
        )
        .button("Apply", Tone::Main);
    Section::new("yaml", "By YAML")
        .note("The same as remit apply reads, checked by the same rules.")
        .with(&form)
}

/// Pages that a form of documents may lead back to.
const BACK: [&str; 3] = ["/rules", "/rules/limits", "/rules/freezes"];

async fn documents(ask: Ask) -> Result<crate::answer::Answer, Fault> {
    let back = BACK
        .into_iter()
        .find(|b| *b == ask.field("back"))
        .unwrap_or("/rules");
    let text = ask.field("document").to_owned();
    match crate::agents::apply(&ask, &text).await {
        Ok(()) => ask.done(back, "saved"),
        Err(fault) if fault.is_correctable() => {
            let page = ask
                .page("Rules on calls")
                .with(&header(&ask, "-", &Copy::default()))
                .with(&by_yaml(&ask, &text, back));
            told(page, &fault).ok()
        }
        Err(fault) => Err(fault),
    }
}

/// The page with what was wrong with what was sent.
fn told(page: Page, fault: &Fault) -> Page {
    let mut notice = Notice::new("bad", capitalized(&fault.text()));
    notice.more = fault.more().iter().map(Shown::block).collect();
    page.notice(Some(notice)).status(fault.status())
}

/// A button that turns a record on or off.
fn switch_form(ask: &Ask, path: &str, enabled: bool) -> Form {
    let (words, tone) = if enabled {
        ("Turn it off", Tone::Danger)
    } else {
        ("Turn it on", Tone::Main)
    };
    ask.form("switch", path).button(words, tone).inline()
}
