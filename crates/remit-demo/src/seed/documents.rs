//! The documents of the demo, as they are in `examples/demo`, with addresses and dates put in.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use remit_domain::Timestamp;

use crate::client::now_secs;
use crate::upstreams::DemoKind;

/// Teams and people.
pub(super) const PEOPLE: &str = include_str!("../../../../examples/demo/10-people.yaml");
/// What the organization decides.
pub(super) const POLICIES: &str = include_str!("../../../../examples/demo/30-policies.yaml");
/// Agents.
pub(super) const AGENTS: &str = include_str!("../../../../examples/demo/40-agents.yaml");

const UPSTREAMS: &str = include_str!("../../../../examples/demo/20-upstreams.yaml");
const WORKFLOWS: &str = include_str!("../../../../examples/demo/50-workflows.yaml");

/// How long the grants last: a quarter, until the next review.
const GRANT_SECS: i64 = 90 * 24 * 3_600;

/// Systems and upstreams at these addresses.
pub(super) fn upstreams(urls: &BTreeMap<DemoKind, String>) -> Result<String> {
    let mut text = UPSTREAMS.to_owned();
    for kind in DemoKind::ALL {
        let url = urls
            .get(&kind)
            .with_context(|| format!("no address of demo upstream `{kind}` is given"))?;
        // It becomes part of a quoted YAML text.
        ensure!(
            !url.contains(['"', '\\', '\n']),
            "`{url}` is not the address of a demo upstream"
        );
        text = text.replace(&format!("${{{}_URL}}", kind.as_str().to_uppercase()), url);
    }
    Ok(text)
}

/// Workflows, with grants that end.
pub(super) fn workflows() -> Result<String> {
    let end = Timestamp::from_secs(i64::try_from(now_secs()?)?).plus_secs(GRANT_SECS);
    Ok(WORKFLOWS.replace("${GRANTS_END}", &end.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_to_put_in() {
        let urls = DemoKind::ALL
            .map(|kind| (kind, format!("http://127.0.0.1:1/{kind}")))
            .into();
        for text in [upstreams(&urls).unwrap(), workflows().unwrap()] {
            assert!(!text.contains("${"), "{text}");
        }
        assert!(upstreams(&BTreeMap::new()).is_err());
    }
}
