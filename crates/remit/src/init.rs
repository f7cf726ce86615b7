//! `remit init`: the operator, an organization and its first administrator.

use anyhow::{Context, anyhow, bail};
use remit_domain::name::{Email, Name};
use remit_domain::organization::{Organization, Separation};
use remit_domain::{OrgId, PersonId, Principal};
use remit_issuer::PersonIdentity;
use secrecy::{ExposeSecret, SecretString};

use crate::config::{Flags, Settings};
use crate::wiring::House;

/// The first people of an instance.
pub(crate) struct First {
    /// The organization.
    pub(crate) org: OrgId,
    /// The operator's token; none when there was an operator before.
    pub(crate) operator: Option<SecretString>,
    /// What each first administrator makes their token with.
    pub(crate) links: Vec<Link>,
}

/// What a first administrator makes their token with.
pub(crate) struct Link {
    /// Whose it is.
    pub(crate) admin: Email,
    /// The link.
    pub(crate) link: String,
    /// The code in it.
    pub(crate) code: SecretString,
}

/// Creates what is missing: the operator, the organization, its administrators.
pub(crate) async fn first(
    house: &House,
    org: &str,
    admins: &[String],
    separation: Separation,
) -> anyhow::Result<First> {
    let name: Name = org.parse()?;
    let admins = admins
        .iter()
        .map(|admin| admin.parse::<Email>())
        .collect::<Result<Vec<_>, _>>()?;
    let operator = house.issuer.init_operator().await?;
    let id = match house.books.org_named(name.as_str()) {
        Some(book) => book.id.clone(),
        None => {
            let id = house.books.id(OrgId::from_uuid);
            let organization = Organization::new(id.clone(), name, separation);
            house
                .books
                .create_organization(&organization, Principal::Operator)
                .await?;
            id
        }
    };
    let enrolled = house.issuer.create_first_admins(&id, &admins).await?;
    let links = admins.into_iter().zip(enrolled).map(|(admin, made)| Link {
        admin,
        link: made.link.expose_secret().to_owned(),
        code: made.code,
    });
    Ok(First {
        org: id,
        operator,
        links: links.collect(),
    })
}

pub(crate) async fn run(
    flags: &Flags,
    org: &str,
    admins: &[String],
    separation: &str,
) -> anyhow::Result<()> {
    let settings = Settings::load(flags)?;
    let separation = match separation {
        "dual" => Separation::Dual,
        "single" => Separation::Single,
        other => bail!("separation `{other}` is neither dual nor single"),
    };
    let url = settings.url(settings.listen);
    let house = House::build(&settings, &url, Some(org)).await?;
    let made = first(&house, org, admins, separation).await;
    house.books.store().close().await;
    let made = made
        .map_err(|e| anyhow!(e))
        .context("nothing was created")?;
    remit_cli::print(&said(&made, flags, &settings, &url, org));
    Ok(())
}

/// What was made and what comes next, in commands that work as they are.
fn said(made: &First, flags: &Flags, settings: &Settings, url: &str, org: &str) -> String {
    let operator = match &made.operator {
        Some(token) => format!(
            "The operator's token, shown only now. It creates and contains organizations and reads nothing inside:\n  {}",
            token.expose_secret()
        ),
        None => "The operator was created before; their token is not shown again.".to_owned(),
    };
    let addr = if settings.is_at_default(url) {
        String::new()
    } else {
        format!(" --addr {url}")
    };
    let mut text = format!(
        "Organization {org} is ready.\n\n1. Start the server:\n  remit serve{given}\n\n",
        given = flags.given()
    );
    for (n, Link { admin, link, code }) in (2..).zip(&made.links) {
        text.push_str(&format!(
            "{n}. {admin} makes their own token with this link, once, within its time, in another terminal:\n  remit login '{link}'\n\
             or with the code in it:\n  remit login{addr} --code {}\n\n",
            code.expose_secret()
        ));
    }
    if let [one] = made.links.as_slice() {
        text.push_str(&format!(
            "{} is administrator, and auditor too: nobody else is there to verify the ledger. Take that role from them once\n\
             somebody else holds it. Whom they create or enrol does not approve for them, nor they for those: two people who are\n\
             to be enough for each other are both named here, with `--admin` twice.\n\n",
            one.admin
        ));
    }
    text.push_str(&format!("{operator}\n"));
    text
}

/// A single-use link by which the bearer of `token` makes another token of theirs.
pub(crate) async fn login_link(house: &House, org: &OrgId, token: &str) -> anyhow::Result<String> {
    let identity = house.issuer.authenticate_person(org, token).await?;
    let person = identity.person.id.clone();
    link(house, org, &identity, &person).await
}

/// The same for somebody else, made by the administrator who bears `token`.
pub(crate) async fn login_link_of(
    house: &House,
    org: &OrgId,
    token: &str,
    email: &str,
) -> anyhow::Result<String> {
    let identity = house.issuer.authenticate_person(org, token).await?;
    let person = house
        .books
        .org(org)
        .and_then(|book| book.registry().person_named(email).map(|p| p.id.clone()))
        .with_context(|| format!("nobody here is `{email}`"))?;
    link(house, org, &identity, &person).await
}

async fn link(
    house: &House,
    org: &OrgId,
    by: &PersonIdentity,
    person: &PersonId,
) -> anyhow::Result<String> {
    let enrolled = house.issuer.create_enrolment(org, by, person).await?;
    Ok(enrolled.link.expose_secret().to_owned())
}
