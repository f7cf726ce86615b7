//! Settings: the organization, its people and roles, this person's sessions and tokens, and how pages look.

mod organization;
mod people;

use remit_control::Credentials;
use remit_domain::{PasskeyId, Role, SessionId};

use crate::answer::Answer;
use crate::ask::Ask;
use crate::cookie::Preferences;
use crate::fault::Fault;
use crate::route::{ADMIN, ADMIN_AUDITOR, PERSON, Route, act, page};
use crate::ui::{Cell, Copy, Empty, Facts, Field, Header, Html, Input, Row, Section, Table, Tone};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        page("/settings", PERSON, home),
        page("/settings/people", PERSON, people::people),
        page("/settings/people/{email}", PERSON, people::person),
        act("/settings/people/{email}", ADMIN, people::put_person),
        act("/settings/people/{email}/link", ADMIN, people::link),
        page("/settings/people/{email}/leave", ADMIN, people::leave_page),
        act("/settings/people/{email}/leave", ADMIN, people::leave),
        page("/settings/organization", ADMIN, organization::show),
        act("/settings/organization", ADMIN, organization::put),
        page("/settings/keys", ADMIN_AUDITOR, organization::keys),
        act("/settings/keys/rotate", ADMIN, organization::rotate),
        page("/settings/sign-in", ADMIN, organization::provider),
        act("/settings/sign-in", ADMIN, organization::put_provider),
        act(
            "/settings/sign-in/remove",
            ADMIN,
            organization::remove_provider,
        ),
        act("/settings/passkeys/{id}/name", PERSON, name_passkey),
        act("/settings/passkeys/{id}/remove", PERSON, remove_passkey),
        page("/settings/credentials", PERSON, credentials),
        page("/settings/sessions", PERSON, sessions),
        act("/settings/sessions/{id}/end", PERSON, end_session),
        act("/settings/sessions/end-others", PERSON, end_others),
        page("/settings/look", PERSON, look),
        act("/settings/look", PERSON, set_look),
    ]
}

#[derive(askama::Template)]
#[template(path = "settings.html")]
struct Home {
    at: String,
    admin: bool,
    keys: bool,
    organization: Facts,
    copy: Copy,
}

async fn home(ask: Ask) -> Result<Answer, Fault> {
    let o = ask.control().organization(&ask.caller()?)?;
    let limits = ask.issuer().session_limits(ask.place.org())?;
    let organization = Facts::new()
        .row("Name", Cell::text(&o.name))
        .row("Id", Cell::code(&o.id))
        .row(
            "Separation of duties",
            Cell::text(crate::agents::word(&o.spec.separation)),
        )
        .row(
            "Browser sessions end",
            Cell::text(format!(
                "{} min after the last use, {} h after signing in",
                limits.idle_s / 60,
                limits.life_s / 3_600
            )),
        )
        .row(
            "Ledger key",
            Cell::link(format!("{}/log/key", ask.place.at), "for whoever verifies"),
        );
    let copy = Copy::get("organization show", &ask.place.base, "/organization");
    ask.page("Settings")
        .with(&Home {
            at: ask.place.at.clone(),
            admin: ask.holds(Role::Admin),
            keys: ask.holds_any(&[Role::Admin, Role::Auditor]),
            organization,
            copy,
        })
        .ok()
}

async fn credentials(ask: Ask) -> Result<Answer, Fault> {
    let c = ask.control().credentials(&ask.caller()?, None).await?;
    let header = Header::new("Settings", "Credentials").copy(&Copy::get(
        "credential ls",
        &ask.place.base,
        "/credentials",
    ));
    ask.page("Credentials")
        .with(&header)
        .with(&Section::new("keys-part", "Keys of agents").with(&keys(&ask, &c)))
        .with(&Section::new("tokens-part", "Live tokens").with(&tokens(&ask, &c)))
        .with(
            &Section::new("standing-part", "Standing access")
                .note("What does not end by itself.")
                .with(&standing(&c)),
        )
        .ok()
}

fn keys(ask: &Ask, c: &Credentials) -> Table {
    let rows = c.keys.iter().take(500).map(|k| {
        Row::new(
            &k.thumbprint,
            vec![
                Cell::code(&k.thumbprint),
                Cell::link(ask.to_named("/agents", &k.agent, ""), &k.agent),
                Cell::number(k.age_days),
                Cell::number(k.live_tokens),
                Cell::lines(&k.findings),
            ],
        )
    });
    let head = ["Key", "Agent", "Days old", "Live tokens", "Findings"];
    Table::new("keys", "Keys of agents", &head, Empty::new("No keys", "")).rows(rows)
}

fn tokens(ask: &Ask, c: &Credentials) -> Table {
    let rows = c.tokens.iter().take(500).map(|t| {
        Row::new(
            &t.id,
            vec![
                Cell::code(&t.id),
                Cell::link(ask.to_named("/agents", &t.agent, ""), &t.workflow),
                Cell::link(ask.to(&format!("/runs/{}", t.run)), &t.run),
                t.person.as_ref().map(Cell::text).into(),
                ask.when(t.expires).into(),
            ],
        )
    });
    let head = ["Token", "Workflow", "Run", "For", "Ends"];
    Table::new(
        "tokens",
        "Live tokens",
        &head,
        Empty::new("No live tokens", ""),
    )
    .rows(rows)
}

fn standing(c: &Credentials) -> Table {
    let rows = c.standing.iter().take(500).map(|s| {
        Row::new(
            &s.id,
            vec![
                Cell::text(s.kind),
                Cell::text(&s.workflow),
                Cell::block(&s.text),
                Cell::text(&s.person),
            ],
        )
    });
    let empty = Empty::new("No standing access", "Every right here ends by itself.");
    Table::new(
        "standing",
        "Standing access",
        &["What", "Workflow", "Told", "By"],
        empty,
    )
    .rows(rows)
}

async fn sessions(ask: Ask) -> Result<Answer, Fault> {
    let mine = ask.session()?;
    let all = ask
        .issuer()
        .sessions(ask.place.org(), Some(&mine.person.id))
        .await?;
    let rows = all.iter().map(|s| {
        let here = s.id == mine.id;
        let form = ask
            .form(
                format!("end-{}", s.id),
                &format!("/settings/sessions/{}/end", s.id),
            )
            .button(if here { "Sign out here" } else { "End" }, Tone::Danger)
            .inline();
        Row::new(
            &s.id,
            vec![
                Cell::text(if s.browser.is_empty() {
                    "a browser that says nothing of itself"
                } else {
                    s.browser.as_str()
                }),
                Cell::text(if here { "this one" } else { "" }),
                Cell::text(s.how.as_str()),
                ask.when(s.created).with_exact().into(),
                ask.when(s.seen).into(),
                Cell::Html(Html::of(&form)),
            ],
        )
    });
    let table = Table::new(
        "sessions",
        "Browsers in which I am signed in",
        &["Browser", "", "Signed in with", "Since", "Last used", "End"],
        Empty::default(),
    )
    .rows(rows);
    let others = ask
        .form("end-others", "/settings/sessions/end-others")
        .button("End all others", Tone::Danger)
        .inline();
    ask.page("My sessions")
        .with(&Header::new("Me", &mine.person.email))
        .with(
            &Section::new("sessions-part", "Browser sessions")
                .with(&table)
                .with(&others),
        )
        .with(&passkeys(&ask).await?)
        .with(
            &Section::new("tokens-part", "Tokens")
                .note("Withdraw one with remit token rm.")
                .with(&own_tokens(&ask).await?),
        )
        .ok()
}

/// The button that makes one: the ceremony needs a script, and the page says what to do without.
#[derive(askama::Template)]
#[template(path = "passkey.html")]
struct NewPasskey {
    at: String,
    js: &'static str,
}

async fn passkeys(ask: &Ask) -> Result<Section, Fault> {
    let section = Section::new("passkeys-part", "Passkeys");
    if !ask.issuer().has_passkeys() {
        return Ok(section.note("This server has none: passkeys need a name in its public_url (https, or http://localhost)."));
    }
    let person = &ask.session()?.person.id;
    let mine = ask.issuer().passkeys(ask.place.org(), person).await?;
    let rows = mine.iter().map(|p| {
        let label = Cell::text(if p.label.is_empty() {
            "no label"
        } else {
            p.label.as_str()
        });
        let name = ask
            .form(
                format!("name-{}", p.id),
                &format!("/settings/passkeys/{}/name", p.id),
            )
            .field(Field::new("label", "Label", Input::Line).value(&p.label))
            .button("Name it", Tone::Plain)
            .inline();
        let remove = ask
            .form(
                format!("remove-{}", p.id),
                &format!("/settings/passkeys/{}/remove", p.id),
            )
            .button("Remove", Tone::Danger)
            .inline();
        Row::new(
            &p.id,
            vec![
                label,
                ask.when(p.created).with_exact().into(),
                Cell::Html(Html::of(&name)),
                Cell::Html(Html::of(&remove)),
            ],
        )
    });
    let empty = Empty::new("No passkey", "With one you sign in without a link.");
    let table = Table::new(
        "passkeys",
        "My passkeys",
        &["Label", "Made", "Name", "Remove"],
        empty,
    )
    .rows(rows);
    let make = NewPasskey {
        at: ask.place.at.clone(),
        js: crate::assets::address("passkey.js"),
    };
    Ok(section.with(&table).with(&make))
}

async fn own_tokens(ask: &Ask) -> Result<Table, Fault> {
    let tokens = ask
        .issuer()
        .person_tokens(ask.place.org(), &ask.session()?.person.id)
        .await?;
    let token_rows = tokens.iter().map(|t| {
        Row::new(
            &t.digest,
            vec![
                Cell::text(&t.label),
                Cell::code(t.digest.chars().take(12).collect::<String>()),
                ask.when(t.created).into(),
                ask.when(t.expires).with_exact().into(),
            ],
        )
    });
    Ok(Table::new(
        "tokens",
        "My tokens for the command line",
        &["Label", "Begins with", "Made", "Ends"],
        Empty::new("No tokens", "").commands(&["remit login LINK"]),
    )
    .rows(token_rows))
}

async fn name_passkey(ask: Ask) -> Result<Answer, Fault> {
    let id: PasskeyId = ask.named("id")?;
    let person = ask.session()?.person.clone();
    ask.issuer()
        .rename_passkey(ask.place.org(), &person, &id, ask.field("label").trim())
        .await?;
    ask.done("/settings/sessions", "saved")
}

async fn remove_passkey(ask: Ask) -> Result<Answer, Fault> {
    let id: PasskeyId = ask.named("id")?;
    let person = ask.session()?.person.clone();
    ask.issuer()
        .remove_passkey(ask.place.org(), &person, &id)
        .await?;
    ask.done("/settings/sessions", "saved")
}

async fn end_session(ask: Ask) -> Result<Answer, Fault> {
    let id: SessionId = ask.named("id")?;
    let mine = ask.session()?;
    ask.issuer()
        .end_session(ask.place.org(), &mine.person, &id)
        .await?;
    if id == mine.id {
        return crate::sign_in::signed_out(&ask);
    }
    ask.done("/settings/sessions", "ended")
}

async fn end_others(ask: Ask) -> Result<Answer, Fault> {
    let mine = ask.session()?;
    ask.issuer()
        .end_sessions(
            ask.place.org(),
            &mine.person,
            &mine.person.id,
            Some(&mine.id),
        )
        .await?;
    ask.done("/settings/sessions", "ended")
}

async fn look(ask: Ask) -> Result<Answer, Fault> {
    let now = ask.preferences;
    let form = ask
        .form("look", "/settings/look")
        .field(
            Field::select("theme", "Colours", &Preferences::THEMES, now.theme)
                .hint("auto follows your system; forced colours are always followed."),
        )
        .field(
            Field::new(
                "keys",
                "Single keys do something (j, k, g, a, d, /, ?)",
                Input::Check(now.keys),
            )
            .hint("Turn it off if you speak to your computer, or press keys by accident."),
        )
        .button("Save", Tone::Main);
    ask.page("Look and keyboard")
        .with(&Header::new("Settings", "Look and keyboard"))
        .with(&Section::new("look-part", "In this browser").with(&form))
        .ok()
}

async fn set_look(ask: Ask) -> Result<Answer, Fault> {
    let theme = Preferences::THEMES
        .into_iter()
        .find(|t| *t == ask.field("theme"))
        .unwrap_or("auto");
    let chosen = Preferences {
        theme,
        keys: !ask.field("keys").is_empty(),
    };
    Ok(Answer::SeeWith(
        ask.to("/settings/look?done=saved"),
        vec![chosen.set(&ask.site)],
    ))
}
