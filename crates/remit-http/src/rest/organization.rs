//! The organization itself, the operator's list of them, and who asks.

use axum::http::Method;
use remit_control::spec::OrganizationSpec;
use remit_control::{ControlError, ListQuery, Listing, OrganizationView};
use remit_domain::name::{Email, Name};
use remit_domain::{RefusalCode, Role, RunId, Separation, Timestamp, WorkflowId};
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::list::page;
use super::table::{ADMIN, ANYBODY, OPERATOR, PERSON};
use super::{Ask, Nothing, Reply, Route, route};
use crate::identity::Identity;
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/whoami", ANYBODY, "Who asks", whoami),
        route(Method::GET, "/organizations", OPERATOR, "Organizations of the instance", organizations),
        route(Method::POST, "/organizations", OPERATOR, "Create an organization and the link of its first administrator", create),
        route(Method::GET, "/organization", PERSON, "Settings of the organization", show),
        route(Method::PUT, "/organization", ADMIN, "Change the settings of the organization", put),
        route(Method::POST, "/organization/loosening", ADMIN, "Ask that one person may do what takes two; another administrator agrees", loosen),
        route(Method::POST, "/organization/loosening/approve", ADMIN, "Agree that one person may do what takes two: somebody else than who asked", approve),
        route(Method::DELETE, "/organization/loosening", ADMIN, "Withdraw or refuse a wish for less separation", withdraw),
    ]
}

/// Who asks.
#[derive(Serialize, JsonSchema)]
struct Whoami {
    /// `person`, `agent` or `operator`.
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
    /// E-mail address of a person, name of an agent.
    name: String,
    roles: Vec<Role>,
    /// Name of the organization; none for the operator.
    organization: Option<String>,
    /// The run that an agent's token belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunId>,
    /// The workflow that an agent's token is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow: Option<WorkflowId>,
}

async fn whoami(ask: Ask) -> Result<Reply<Whoami>, Problem> {
    let registry = ask.place.book.registry();
    let organization = registry.organization.as_ref().map(|o| o.name.to_string());
    let who = match &ask.identity {
        Some(Identity::Person(identity)) => {
            let person = &identity.person;
            Whoami {
                kind: "person",
                id: person.id.to_string(),
                name: person.email.to_string(),
                roles: person.roles.iter().copied().collect(),
                organization,
                run: None,
                workflow: None,
            }
        }
        Some(Identity::Agent(verified)) => Whoami {
            kind: "agent",
            id: verified.agent.to_string(),
            name: registry
                .agents
                .get(&verified.agent)
                .map_or_else(String::new, |a| a.name.to_string()),
            roles: Vec::new(),
            organization,
            run: Some(verified.run.clone()),
            workflow: Some(verified.workflow.clone()),
        },
        Some(Identity::Operator) | None => {
            let name = "operator".to_owned();
            Whoami {
                kind: "operator",
                id: name.clone(),
                name,
                roles: Vec::new(),
                organization: None,
                run: None,
                workflow: None,
            }
        }
    };
    Ok(who.into())
}

async fn organizations(
    ask: Ask<Nothing, ListQuery>,
) -> Result<Reply<Listing<OrganizationView>>, Problem> {
    let all = ask.site.app.control.organizations(&ask.caller()?)?;
    Ok(page(all, &ask.query, |o| o.name.to_string()).into())
}

/// An organization to create.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewOrganization {
    name: Name,
    #[serde(default)]
    separation: Separation,
    /// Who becomes its first administrator.
    admin_email: Email,
}

/// A new organization, and how its first administrator comes in. The link is shown once.
#[derive(Serialize, JsonSchema)]
struct Created {
    #[serde(flatten)]
    organization: OrganizationView,
    code: String,
    link: String,
    expires: Timestamp,
}

async fn create(ask: Ask<NewOrganization>) -> Result<Reply<Created>, Problem> {
    let NewOrganization {
        name,
        separation,
        admin_email,
    } = &ask.body;
    let control = &ask.site.app.control;
    let caller = ask.caller()?;
    let organization = match control
        .create_organization(&caller, name.clone(), *separation)
        .await
    {
        Ok(created) => created,
        // The first try may have broken off before the administrator was made; one that has an administrator refuses below.
        Err(ControlError::Refused(refusal)) if refusal.code == RefusalCode::Conflict => {
            let there = control
                .organizations(&caller)?
                .into_iter()
                .find(|o| o.name == *name);
            there.ok_or_else(|| Problem::from(refusal))?
        }
        Err(error) => return Err(error.into()),
    };
    let enrolled = ask
        .site
        .app
        .issuer
        .create_first_admin(&organization.id, admin_email)
        .await?;
    Ok(Reply::created(Created {
        organization,
        code: enrolled.code.expose_secret().to_owned(),
        link: enrolled.link.expose_secret().to_owned(),
        expires: enrolled.expires,
    }))
}

async fn show(ask: Ask) -> Result<Reply<OrganizationView>, Problem> {
    Ok(ask.site.app.control.organization(&ask.caller()?)?.into())
}

async fn put(ask: Ask<OrganizationSpec>) -> Result<Reply<OrganizationView>, Problem> {
    let caller = ask.caller()?;
    Ok(Reply::saved(
        ask.site
            .app
            .control
            .put_organization(&caller, ask.body, ask.seen)
            .await?,
    ))
}

/// Why one person is to be enough.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// Why.
    reason: String,
}

async fn loosen(ask: Ask<Wish>) -> Result<Reply<OrganizationView>, Problem> {
    let control = &ask.site.app.control;
    let caller = ask.caller()?;
    Ok(control
        .request_loosening(&caller, &ask.body.reason)
        .await?
        .into())
}

async fn approve(ask: Ask<Nothing>) -> Result<Reply<OrganizationView>, Problem> {
    let control = &ask.site.app.control;
    Ok(control.approve_loosening(&ask.caller()?).await?.into())
}

async fn withdraw(ask: Ask<Nothing>) -> Result<Reply<OrganizationView>, Problem> {
    let control = &ask.site.app.control;
    Ok(control.withdraw_loosening(&ask.caller()?).await?.into())
}
