//! A person's own token where agents come with theirs: somebody gave it to an agent, or an agent found it. It opens nothing
//! there, and it is something to look at.

use remit_domain::finding::FindingKind;
use remit_domain::{Agent, OrgId};
use remit_token::SecretKind;

use crate::Issuer;

impl Issuer {
    /// Opens a finding where `token` is a person's token that counts, once for each token. What is none is nobody's business.
    ///
    /// - `agent`: who came with it, where that was proved.
    pub(crate) async fn person_token_at_agent(
        &self,
        org: &OrgId,
        token: &str,
        agent: Option<&Agent>,
    ) {
        if !token.starts_with(SecretKind::PersonalToken.prefix()) {
            return;
        }
        let known = self.known_token(org, token, SecretKind::PersonalToken);
        let Ok(token) = known.await else { return };
        let (Some(book), kind) = (self.books().org(org), FindingKind::PersonTokenAtAgent) else {
            return;
        };
        let (open, person) = {
            let registry = book.registry();
            let about = registry.findings.get(&token.digest);
            let open = about.is_some_and(|about| about.values().any(|f| f.kind == kind));
            (open, registry.people.get(&token.person).cloned())
        };
        let Some(person) = person.filter(|p| p.is_active() && !open) else {
            return;
        };
        let who = agent.map_or_else(String::new, |a| format!(" by agent {}", a.name));
        let text = format!(
            "a token of {} was presented{who} where agents come with theirs; revoke it, and give the agent a key of its own",
            person.email
        );
        let of = (kind, token.digest.as_str());
        let owner = Some(person.id.clone());
        let change = match self.finding_for(org, of, text, owner).await {
            Ok(change) => change,
            Err(refusal) => {
                tracing::error!(%org, %refusal, "a finding could not be opened");
                return;
            }
        };
        if let Err(error) = self.books().commit(org, change).await {
            tracing::error!(%org, %error, "a finding could not be opened");
        }
    }
}
