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
    /// The link by which the first administrator makes their token.
    pub(crate) link: String,
    /// The code in it.
    pub(crate) code: SecretString,
}

/// Creates what is missing: the operator, the organization, its administrator.
pub(crate) async fn first(
    house: &House,
    org: &str,
    admin: &str,
    separation: Separation,
) -> anyhow::Result<First> {
    let name: Name = org.parse()?;
    let admin: Email = admin.parse()?;
    let operator = house.issuer.init_operator().await?;
    let id = match house.books.org_named(name.as_str()) {
        Some(book) => book.id.clone(),
        None => {
            let id = house.books.id(OrgId::from_uuid);
            let organization = Organization {
                id: id.clone(),
                name,
                separation,
                sessions: Default::default(),
                regulated: Default::default(),
            };
            house
                .books
                .create_organization(&organization, Principal::Operator)
                .await?;
            id
        }
    };
    let enrolled = house.issuer.create_first_admin(&id, &admin).await?;
    Ok(First {
        org: id,
        operator,
        link: enrolled.link.expose_secret().to_owned(),
        code: enrolled.code,
    })
}

pub(crate) async fn run(
    flags: &Flags,
    org: &str,
    admin: &str,
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
    let made = first(&house, org, admin, separation).await;
    house.books.store().close().await;
    let made = made
        .map_err(|e| anyhow!(e))
        .context("nothing was created")?;
    remit_cli::print(&said(&made, flags, &settings, &url, (org, admin)));
    Ok(())
}

/// What was made and what comes next, in commands that work as they are.
fn said(
    made: &First,
    flags: &Flags,
    settings: &Settings,
    url: &str,
    (org, admin): (&str, &str),
) -> String {
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
    format!(
        "Organization {org} is ready.\n\n\
         1. Start the server:\n  remit serve{given}\n\n\
         2. {admin} makes their own token with this link, once, within its time, in another terminal:\n  remit login '{link}'\n\
         or with the code in it:\n  remit login{addr} --code {code}\n\n\
         {admin} is administrator, and auditor too: nobody else is there to verify the ledger. Take that role from them once\n\
         somebody else holds it.\n\n\
         {operator}\n",
        given = flags.given(),
        link = made.link,
        code = made.code.expose_secret(),
    )
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
