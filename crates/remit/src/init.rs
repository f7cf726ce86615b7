//! `remit init`: the operator, an organization and its first administrator.

use anyhow::{Context, anyhow, bail};
use remit_domain::name::{Email, Name};
use remit_domain::organization::{Organization, Separation};
use remit_domain::{OrgId, Principal};
use secrecy::{ExposeSecret, SecretString};

use crate::config::Settings;
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
    settings: Settings,
    org: &str,
    admin: &str,
    separation: &str,
) -> anyhow::Result<()> {
    let separation = match separation {
        "dual" => Separation::Dual,
        "single" => Separation::Single,
        other => bail!("separation `{other}` is neither dual nor single"),
    };
    let url = settings.url(settings.listen);
    let house = House::build(&settings, &url).await?;
    let made = first(&house, org, admin, separation).await;
    house.books.store().close().await;
    let made = made
        .map_err(|e| anyhow!(e))
        .context("nothing was created")?;
    let mut text = format!(
        "Organization {org} is ready.\n\n{admin} makes their own token with this link, once, within its time:\n  {}\nor, once the server runs:\n  remit login --code {}\n",
        made.link,
        made.code.expose_secret(),
    );
    match made.operator {
        Some(token) => text.push_str(&format!(
            "\nThe operator's token, shown only now. It creates and contains organizations and reads nothing inside:\n  {}\n",
            token.expose_secret()
        )),
        None => text.push_str("\nThe operator was created before; their token is not shown again.\n"),
    }
    text.push_str("\nStart the server:  remit serve\n");
    remit_cli::print(&text);
    Ok(())
}

/// A single-use link by which the bearer of `token` makes another token of theirs.
pub(crate) async fn login_link(house: &House, org: &OrgId, token: &str) -> anyhow::Result<String> {
    let identity = house.issuer.authenticate_person(org, token).await?;
    let enrolled = house
        .issuer
        .create_enrolment(org, &identity, &identity.person.id)
        .await?;
    Ok(enrolled.link.expose_secret().to_owned())
}
