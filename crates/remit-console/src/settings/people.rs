//! People: who they are here, what they may do, how they come in, and what happens when they leave.

use remit_control::PersonView;
use remit_control::spec::PersonSpec;
use remit_domain::Role;
use remit_domain::name::Email;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::agents::listed;
use crate::answer::{Answer, Page};
use crate::ask::Ask;
use crate::fault::{Fault, capitalized};
use crate::text::Shown;
use crate::ui::{
    Cell, Code, Copy, Empty, Field, Filter, Header, Input, Lines, Notice, Row, Section, Table, Tone,
};

pub(super) async fn people(ask: Ask) -> Result<Answer, Fault> {
    let listing = ask.control().people(&ask.caller()?, &ask.list())?;
    let rows = listing.items.iter().map(|p| {
        Row::new(
            &p.id,
            vec![
                Cell::link(
                    ask.to_named("/settings/people", p.email.as_str(), ""),
                    &p.email,
                ),
                Cell::text(&p.spec.display_name),
                Cell::badge(p.state),
                Cell::lines(p.spec.roles.iter().map(|r| r.as_str())),
                Cell::lines(&p.spec.teams),
            ],
        )
    });
    let table = Table::new(
        "people",
        "People",
        &["Address", "Name", "State", "Roles", "Teams"],
        Empty::new("Nobody here", ""),
    )
    .rows(rows)
    .next(ask.next(listing.next));
    let filter = Filter::new(ask.to("/settings/people")).select(
        "state",
        "State",
        &["active", "suspended", "left"],
        ask.q("state"),
    );
    let copy = Copy::get("person ls", &ask.place.base, "/people");
    let mut page = ask.page("People").html(listed(
        "People",
        "Only people answer, approve and change things.",
        None,
        Some(&filter),
        &table,
        &copy,
    ));
    if ask.holds(Role::Admin) {
        page = page.with(&NewPerson {
            at: ask.place.at.clone(),
        });
    }
    page.ok()
}

#[derive(askama::Template)]
#[template(path = "new_person.html")]
struct NewPerson {
    at: String,
}

/// A person's page; for an address that is not here yet, the form that makes them.
pub(super) async fn person(ask: Ask) -> Result<Answer, Fault> {
    let email: Email = match ask.q("email") {
        Some(typed) => typed.parse().map_err(|e| Fault::invalid(format!("{e}")))?,
        None => ask.named("email")?,
    };
    if ask.q("email").is_some() {
        return Ok(Answer::See(ask.to_named(
            "/settings/people",
            email.as_str(),
            "",
        )));
    }
    person_page(&ask, &email, None, None)?.ok()
}

fn person_page(
    ask: &Ask,
    email: &Email,
    notice: Option<Notice>,
    link: Option<Code>,
) -> Result<Page, Fault> {
    let found = match ask.control().person(&ask.caller()?, email) {
        Ok(found) => Some(found),
        Err(error)
            if error.code() == Some(remit_domain::RefusalCode::NotFound)
                && ask.holds(Role::Admin) =>
        {
            None
        }
        Err(error) => return Err(error.into()),
    };
    let copy = Copy::get(
        &format!("person show {email}"),
        &ask.place.base,
        &format!("/people/{email}"),
    );
    let mut header = Header::new("Person", email).copy(&copy);
    if let Some(p) = &found {
        let here = p.state == "active" && ask.holds(Role::Admin);
        header = header
            .id(&p.id)
            .state(p.state)
            .fact("Name", Cell::text(&p.spec.display_name))
            .fact("Manager", p.spec.manager.as_ref().map(Cell::text))
            .fact("Entitlements", Cell::lines(&p.spec.entitlements))
            .action(
                here,
                ask.to_named("/settings/people", email.as_str(), "/leave"),
                "Has left",
                true,
            );
    }
    let mut page = ask.page(email).notice(notice).with(&header);
    if let Some(link) = link {
        page = page.with(
            &Section::new("link-made", "Link, shown once")
                .note("Give it to them yourself. It works once and signs them in.")
                .with(&link),
        );
    }
    if ask.holds(Role::Admin) {
        page = page.with(
            &Section::new(
                "person-part",
                if found.is_some() {
                    "Change"
                } else {
                    "A new person"
                },
            )
            .with(&person_form(ask, email, found.as_ref())),
        );
        if found.as_ref().is_some_and(|p| p.state == "active") {
            let form = ask
                .form_to(
                    "link",
                    ask.to_named("/settings/people", email.as_str(), "/link"),
                )
                .button("Make a sign-in link", Tone::Plain)
                .inline();
            page = page.with(&Section::new("sign-in-link", "Signing in").with(&form));
        }
    } else if let Some(p) = &found {
        page = page.with(
            &Section::new("roles", "Roles")
                .with(&Lines::new(p.spec.roles.iter().map(|r| r.as_str()))),
        );
    }
    Ok(page)
}

fn person_form(ask: &Ask, email: &Email, p: Option<&PersonView>) -> crate::ui::Form {
    let words = |all: Vec<String>| all.join(" ");
    let spec = p.map(|p| &p.spec);
    let mut form = ask
        .form_to(
            "person",
            ask.to_named("/settings/people", email.as_str(), ""),
        )
        .field(
            Field::new("display_name", "Name", Input::Line)
                .value(spec.map(|s| s.display_name.clone()).unwrap_or_default())
                .required(),
        )
        .field(
            Field::new("teams", "Teams", Input::Line)
                .hint("Names, separated by spaces.")
                .value(words(
                    spec.map(|s| s.teams.iter().map(ToString::to_string).collect())
                        .unwrap_or_default(),
                )),
        )
        .field(
            Field::new("entitlements", "Entitlements", Input::Line)
                .hint("Names, separated by spaces.")
                .value(words(
                    spec.map(|s| s.entitlements.iter().map(ToString::to_string).collect())
                        .unwrap_or_default(),
                )),
        )
        .field(
            Field::new("manager", "Manager", Input::Email).value(
                spec.and_then(|s| s.manager.as_ref().map(ToString::to_string))
                    .unwrap_or_default(),
            ),
        );
    if let Some(p) = p {
        form = form.field(Field::hidden("revision", p.revision));
    }
    for role in Role::ALL {
        let on = spec.is_some_and(|s| s.roles.contains(&role));
        form = form.field(Field::new(
            &format!("role_{}", role.as_str()),
            role.as_str(),
            Input::Check(on),
        ));
    }
    form.button("Save", Tone::Main)
}

pub(super) async fn put_person(ask: Ask) -> Result<Answer, Fault> {
    let email: Email = ask.named("email")?;
    let words = |name: &str| {
        ask.field(name)
            .split([' ', ','])
            .filter(|w| !w.is_empty())
            .map(ToOwned::to_owned)
            .collect::<Vec<_>>()
    };
    let roles: Vec<&str> = Role::ALL
        .iter()
        .map(|r| r.as_str())
        .filter(|r| !ask.field(&format!("role_{r}")).is_empty())
        .collect();
    let mut spec = json!({ "display_name": ask.field("display_name").trim(), "teams": words("teams"), "entitlements": words("entitlements"), "roles": roles });
    if let (Some(manager), Some(all)) = (ask.given("manager"), spec.as_object_mut()) {
        all.insert("manager".to_owned(), manager.into());
    }
    let spec: PersonSpec = serde_json::from_value(spec)
        .map_err(|e| Fault::invalid(format!("the form cannot be read: {e}")))?;
    let seen = ask.given_as("revision")?;
    match ask
        .control()
        .put_person(&ask.caller()?, &email, spec, seen)
        .await
        .map_err(Fault::from)
    {
        Ok(_) => Ok(Answer::See(format!(
            "{}?done=saved",
            ask.to_named("/settings/people", email.as_str(), "")
        ))),
        Err(fault) if fault.is_correctable() => {
            let notice = Notice::new("bad", capitalized(&fault.text()));
            person_page(&ask, &email, Some(notice), None)?
                .status(fault.status())
                .ok()
        }
        Err(fault) => Err(fault),
    }
}

pub(super) async fn link(ask: Ask) -> Result<Answer, Fault> {
    let email: Email = ask.named("email")?;
    let person = ask.control().person(&ask.caller()?, &email)?;
    let made = ask
        .issuer()
        .create_enrolment(ask.place.org(), &ask.session()?.identity(), &person.id)
        .await?;
    let code = Code::new(
        format!("Ends {}", ask.when(made.expires).relative),
        made.link.expose_secret(),
    );
    person_page(&ask, &email, None, Some(code))?.ok()
}

pub(super) async fn leave_page(ask: Ask) -> Result<Answer, Fault> {
    let email: Email = ask.named("email")?;
    let person = ask.control().person(&ask.caller()?, &email)?;
    let registry_counts = {
        let registry = ask.place.book.registry();
        let answers = registry
            .agents
            .values()
            .filter(|a| a.profile.owner == person.id || a.profile.sponsor == person.id)
            .count();
        let delegations = registry
            .delegations
            .values()
            .filter(|d| d.person == person.id)
            .count();
        (answers, delegations)
    };
    let lines = Lines::new([
        format!(
            "{} agents they answer for go to a deputy named beforehand, or are suspended",
            registry_counts.0
        ),
        format!(
            "{} delegations end, with the runs and tokens that rest on them",
            registry_counts.1
        ),
        "their own tokens and browser sessions end at once".to_owned(),
    ]);
    let form = ask
        .form_to(
            "leave",
            ask.to_named("/settings/people", email.as_str(), "/leave"),
        )
        .field(
            Field::new(
                "confirm",
                &format!("Type {email} to confirm: this cannot be undone"),
                Input::Line,
            )
            .required(),
        )
        .button("They have left", Tone::Danger);
    ask.page(format!("{email} has left"))
        .with(&Header::new("Person", &email).state(person.state))
        .with(
            &Section::new("leave-it", "What it does")
                .with(&lines)
                .with(&form),
        )
        .ok()
}

pub(super) async fn leave(ask: Ask) -> Result<Answer, Fault> {
    let email: Email = ask.named("email")?;
    if ask.field("confirm").trim() != email.as_str() {
        return Err(Fault::invalid(
            "the address that was typed is not this person's; nothing was done",
        ));
    }
    let gone = ask.control().leave(&ask.caller()?, &email).await?;
    let mut notice = Notice::new("good", "They have left.");
    let named = |all: &[remit_domain::name::Name]| {
        all.iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    notice.more = [
        ("to a deputy", named(&gone.transferred)),
        ("suspended", named(&gone.suspended)),
        ("without anybody", named(&gone.orphaned)),
    ]
    .into_iter()
    .filter(|(_, names)| !names.is_empty())
    .map(|(what, names)| Shown::block(format!("{what}: {names}")))
    .collect();
    notice.more.push(Shown::line(format!(
        "{} delegations, {} runs, {} tokens, {} personal tokens ended",
        gone.delegations.len(),
        gone.runs.len(),
        gone.tokens,
        gone.personal_tokens
    )));
    person_page(&ask, &email, Some(notice), None)?.ok()
}
