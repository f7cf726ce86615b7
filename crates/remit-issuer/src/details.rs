//! Rich authorization requests (RFC 9396): which tools a client asks for, within which bounds on their arguments.
//!
//! What is asked becomes the bounds of a run, or of a person's delegation, and those are looked at at each call, as any
//! run's and delegation's are. The comparison here is an early no; a token only says what holds anyway.

use std::collections::BTreeMap;
use std::sync::Arc;

use remit_books::entitled::{ActsFor, Withheld};
use remit_domain::authority::Authority;
use remit_domain::bounds::Bounds;
use remit_domain::delegation::Delegation;
use remit_domain::tool::ToolRef;
use remit_domain::{Agent, OrgId, PersonId, Run, Timestamp, Workflow};
use remit_token::authorization_details::TYPE_TOOL;
use remit_token::{AuthorizationDetails, OAuthErrorCode};
use serde::{Deserialize, Serialize};

use crate::door::Denied;
use crate::limits::DETAILS_BYTES_MAX;
use crate::{Issuer, check, narrow};

/// An object says something that is not understood, or lacks something.
pub(crate) const INVALID: &str = "details-invalid";
/// An object is of another type than ours.
pub(crate) const TYPE_UNKNOWN: &str = "details-type-unknown";
/// A tool is named twice.
pub(crate) const REPEATED: &str = "details-repeated";

/// An object of type `remit_tool`: calls of one tool.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolDetail {
    /// `remit_tool`.
    r#type: String,
    /// Which tool, as `upstream/tool`.
    tool: ToolRef,
    /// Bounds on its arguments, as a grant's; none narrow nothing.
    #[serde(default, skip_serializing_if = "is_free")]
    bounds: Bounds,
}

fn is_free(bounds: &Bounds) -> bool {
    bounds.0.is_empty()
}

fn denied(code: &str, text: impl Into<std::borrow::Cow<'static, str>>) -> Denied {
    Denied::new(OAuthErrorCode::InvalidAuthorizationDetails, code, text)
}

/// The narrowing that details ask for; none where there are none.
pub(crate) fn read(details: &AuthorizationDetails) -> Result<Option<Authority>, Denied> {
    if details.is_empty() {
        return Ok(None);
    }
    let mut tools = BTreeMap::new();
    for object in &details.0 {
        if object.get("type").and_then(|kind| kind.as_str()) != Some(TYPE_TOOL) {
            let text = format!("the only type of 'authorization_details' is '{TYPE_TOOL}'");
            return Err(denied(TYPE_UNKNOWN, text));
        }
        let detail: ToolDetail = serde_json::from_value(object.clone()).map_err(|error| {
            let text = format!("an object of type '{TYPE_TOOL}' is not understood: {error}");
            denied(INVALID, text)
        })?;
        let text = format!(
            "tool {} is named twice; name it once, with all bounds",
            detail.tool
        );
        if tools.insert(detail.tool, detail.bounds).is_some() {
            return Err(denied(REPEATED, text));
        }
    }
    let authority = Authority {
        tools: Some(tools),
        ..Authority::default()
    };
    check::authority(&authority).map_err(|refusal| denied(INVALID, refusal.text))?;
    Ok(Some(authority))
}

/// Refuses details that ask for more than there is, or than the person is entitled to.
pub(crate) fn not_wider<'a>(
    asked: &Authority,
    workflow: &Workflow,
    held: impl Iterator<Item = &'a Authority>,
    withheld: &Withheld,
    now: Timestamp,
) -> Result<(), Denied> {
    let mut more = narrow::freer(asked, workflow, held, now);
    more.extend(withheld.lines());
    if more.is_empty() {
        return Ok(());
    }
    let named: Vec<&str> = more.iter().take(5).map(String::as_str).collect();
    let text = format!(
        "wider: the 'authorization_details' ask for more than there is: {}; ask for less",
        named.join(", ")
    );
    Err(denied("wider", text))
}

/// What a token in this run says of tools: nothing where nothing but the workflow's grants narrows them.
///
/// - `asked`: whether the client has asked; it is then told, or refused.
/// - `withheld`: what the person is not entitled to.
pub(crate) fn of_token(
    workflow: &Workflow,
    run: &Run,
    chain: &[Arc<Delegation>],
    asked: bool,
    withheld: impl FnOnce(&Authority) -> Result<Withheld, Denied>,
    now: Timestamp,
) -> Result<AuthorizationDetails, Denied> {
    let links = || chain.iter().map(|link| &link.authority);
    let mut narrowing = std::iter::once(&run.intent.authority).chain(links());
    if !narrowing.any(|authority| authority.tools.is_some()) {
        return Ok(AuthorizationDetails::default());
    }
    let own = narrow::meet(&narrow::of_workflow(workflow, now), &run.intent.authority);
    let mut all = links().fold(own, |have, link| narrow::meet(&have, link));
    withheld(&all)?.take_from(&mut all);
    let details = said(&all);
    if details.to_text().len() <= DETAILS_BYTES_MAX {
        return Ok(details);
    }
    if asked {
        let text = "the 'authorization_details' are too many with all bounds that hold; ask for fewer tools";
        return Err(denied("details-too-large", text));
    }
    Ok(AuthorizationDetails::default())
}

/// The objects that say which tools an authority names.
pub(crate) fn said(authority: &Authority) -> AuthorizationDetails {
    let objects = authority.tools.iter().flatten().map(|(tool, bounds)| {
        let detail = ToolDetail {
            r#type: TYPE_TOOL.to_owned(),
            tool: tool.clone(),
            bounds: bounds.essential(),
        };
        serde_json::to_value(detail).unwrap_or_default()
    });
    AuthorizationDetails(objects.collect())
}

impl Issuer {
    /// What of an authority the person for whom an agent acts is not entitled to.
    pub(crate) fn withheld(
        &self,
        org: &OrgId,
        (agent, workflow): (&Arc<Agent>, &Arc<Workflow>),
        person: Option<&PersonId>,
        authority: &Authority,
    ) -> Result<Withheld, Denied> {
        let book = self.tenant(org)?;
        let engine = book.engine();
        let registry = book.registry();
        let who = ActsFor {
            agent,
            workflow,
            person: person.and_then(|person| registry.people.get(person)),
        };
        let now = self.books().now();
        Ok(Withheld::of(
            &registry,
            engine.as_deref(),
            who,
            authority,
            now,
        ))
    }
}
