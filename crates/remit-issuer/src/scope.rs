//! The scopes of Remit: `workflow:<name>`, exactly one, and `run:<id>`, at most one; `run:new` in its place where a client narrows
//! its own token to a run below, one of its own each time.

use std::sync::Arc;

use remit_domain::{AgentId, OrgId, RunId, Workflow};
use remit_token::{OAuthErrorCode, Scope};

use crate::Issuer;
use crate::door::Denied;

/// What a scope asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Name of the workflow; none when it is left out.
    pub(crate) workflow: Option<String>,
    /// The run; none for the implicit one.
    pub(crate) run: Option<RunId>,
    /// Whether a new run is asked for, below the one of the token that is exchanged.
    pub(crate) new_run: bool,
}

/// Asks for a new run.
const NEW: &str = "run:new";

fn wrong(text: impl Into<std::borrow::Cow<'static, str>>) -> Denied {
    Denied::new(OAuthErrorCode::InvalidScope, "scope-invalid", text)
}

impl Wanted {
    /// Reads a scope of what starts no run below another.
    pub(crate) fn read(scope: &Scope) -> Result<Self, Denied> {
        let wanted = Self::read_below(scope)?;
        if wanted.new_run {
            return Err(wrong(
                "'run:new' asks for a run below the one of the client's own access token; exchange that",
            ));
        }
        Ok(wanted)
    }

    /// Reads a scope. An unknown token is refused: what is not understood must not look granted.
    pub(crate) fn read_below(scope: &Scope) -> Result<Self, Denied> {
        let mut wanted = Self {
            workflow: None,
            run: None,
            new_run: false,
        };
        for token in scope.iter() {
            if let Some(name) = token.strip_prefix("workflow:") {
                if wanted.workflow.replace(name.to_owned()).is_some() {
                    return Err(wrong(
                        "a token is for one workflow; ask for exactly one 'workflow:<name>'",
                    ));
                }
            } else if token == NEW {
                wanted.new_run = true;
            } else if let Some(id) = token.strip_prefix("run:") {
                let id = id
                    .parse()
                    .map_err(|_| wrong("'run:' is followed by the id of a run"))?;
                if wanted.run.replace(id).is_some() {
                    return Err(wrong(
                        "a token is for one run; ask for at most one 'run:<id>'",
                    ));
                }
            } else {
                return Err(wrong(
                    "only 'workflow:<name>' and 'run:<id>' can be asked for",
                ));
            }
        }
        if wanted.new_run && wanted.run.is_some() {
            return Err(wrong(
                "a token is for one run; ask for 'run:new' or for one that is there",
            ));
        }
        Ok(wanted)
    }
}

impl Issuer {
    /// The workflow that is asked for; the only one of the agent where none is named.
    pub(crate) fn workflow_wanted(
        &self,
        org: &OrgId,
        agent: &AgentId,
        name: Option<&str>,
    ) -> Result<Arc<Workflow>, Denied> {
        let book = self.tenant(org)?;
        let registry = book.registry();
        let id =
            match name {
                Some(name) => registry
                    .workflow_named(agent, name)
                    .map(|workflow| workflow.id.clone()),
                None => {
                    let mut all = registry
                        .workflows_of(agent)
                        .into_iter()
                        .filter(|workflow| workflow.enabled);
                    match (all.next(), all.next()) {
                        (Some(only), None) => Some(only.id.clone()),
                        (None, _) => None,
                        _ => return Err(wrong(
                            "the agent has several workflows; ask for one with 'workflow:<name>'",
                        )
                        .by(agent)),
                    }
                }
            };
        let id = id.ok_or_else(|| {
            Denied::new(
                OAuthErrorCode::InvalidScope,
                "workflow-unknown",
                "workflow-unknown: the agent has no such workflow",
            )
            .by(agent)
        })?;
        registry
            .standing_workflow(agent, &id)
            .map_err(|refusal| Denied::from(refusal).by(agent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_workflow_and_one_run_can_be_asked_for() {
        let run = RunId::from_uuid(uuid::Uuid::nil());
        let scope = Scope::parse(&format!("workflow:refund run:{run}")).unwrap();
        let wanted = Wanted::read(&scope).unwrap();
        assert_eq!(
            wanted,
            Wanted {
                workflow: Some("refund".to_owned()),
                run: Some(run),
                new_run: false,
            }
        );
        for bad in [
            "workflow:a workflow:b",
            "run:x",
            "openid",
            "workflow:a offline_access",
            "WORKFLOW:a",
        ] {
            assert!(Wanted::read(&Scope::parse(bad).unwrap()).is_err(), "{bad}");
        }
    }
}
