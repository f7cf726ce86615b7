//! What was done, told on the page after it; and the way back, for a few seconds, where there is one.
//!
//! What stands in the address chooses from fixed texts and fixed ways back, so that no address can say or do anything else.

use crate::ui::{Field, Form, Notice, Tone};

/// What the ledger says of whoever takes something back.
const REASON: &str = "taken back at once";

/// The notice for a word in the address.
///
/// - `here`: the page, below the organization's own address.
pub(crate) fn notice(word: &str, here: &str, at: &str, csrf: &str) -> Option<Notice> {
    let mut notice = Notice::new("good", said(word)?);
    notice.undo = back(word, here).map(|(path, with_reason)| {
        let mut form = Form::new("undo", format!("{at}{path}"), csrf);
        if with_reason {
            form = form.field(Field::hidden("reason", REASON));
        }
        form.button("Undo", Tone::Plain).inline()
    });
    Some(notice)
}

/// Where it is taken back, and whether that takes a reason.
fn back(word: &str, here: &str) -> Option<(String, bool)> {
    let of = |before: &str| here.strip_prefix(before).filter(|rest| !rest.contains('/'));
    match word {
        "suspended" => of("/agents/").map(|name| (format!("/agents/{name}/resume"), true)),
        "resumed" => of("/agents/").map(|name| (format!("/agents/{name}/suspend"), true)),
        "contained" => of("/containments/").map(|id| (format!("/containments/{id}/lift"), true)),
        "switched" => of("/rules/limits/")
            .or_else(|| of("/rules/freezes/"))
            .map(|_| (here.to_owned(), false)),
        "staged" => Some(("/policies/unstage".to_owned(), false)),
        "enforced" => Some(("/policies/rollback".to_owned(), false)),
        _ => None,
    }
}

/// What was done, by the word that stands in the address after it.
fn said(word: &str) -> Option<&'static str> {
    Some(match word {
        "approved" => "Approved. Exactly this call may be sent, once.",
        "approved_for_run" => {
            "Approved for this run, as often and as long as you said. You can take it back."
        }
        "claimed" => "The others see that you look into it, for ten minutes.",
        "released" => "Nobody looks into it now.",
        "taken_back" => {
            "Taken back. What it would have let pass asks anew; what was sent stays sent."
        }
        "counted" => "Your yes counts. Others have to say yes too before the call may be sent.",
        "denied" => "Denied. The agent is told that a person said no.",
        "saved" => "Saved.",
        "declassify" => {
            "Asked. The labels hold until an approver who has no part in the run says yes."
        }
        "declassified" => "Taken back. The next call of the run is decided without them.",
        "kept" => "The labels stay where they are.",
        "registered" => "Registered as a draft. Its sponsor activates it when nothing is missing.",
        "activated" => "Active. It gets credentials from now on.",
        "suspended" => "Suspended. What it was doing has been stopped.",
        "resumed" => "It may go on.",
        "retired" => "Retired for good.",
        "killed" => "Killed. The certificate below says what has stopped.",
        "rotated" => "A new key signs from now on.",
        "shredded" => "Destroyed. What happened, when and by whom stays, and every proof holds.",
        "switched" => "Switched.",
        "edited" => "The agent is told your arguments. A call with them is asked for anew.",
        "asked" => "Your question stands on it; it waits on.",
        "answered" => "Answered.",
        "given" => "It heads their list now.",
        "contained" => "Contained. The certificate below says what has stopped.",
        "ordered" => "Ordered. Nothing is contained before another administrator confirms it.",
        "taken-back" => "Taken back. Nothing was contained by it.",
        "lifted" => "Lifted.",
        "withdrawn" => "Withdrawn. Its runs end now.",
        "granted" => "It may act for you now, within the bounds below.",
        "ended" => "Ended.",
        "closed" => "The finding is closed.",
        "synced" => "The tools were read again.",
        "approved_tool" => "Classified, and this definition is approved.",
        "disabled" => "Taken out of use.",
        "key_removed" => "The key is removed, and what was issued to it is revoked.",
        "invited" => "Saved.",
        "proposed" => "Proposed. Somebody else looks at it now; nothing is live by it.",
        "approved_policies" => "Approved. An administrator makes it live when it is time.",
        "rejected" => "Rejected.",
        "staged" => "In the shadow: it decides beside every call, without any effect.",
        "unstaged" => "Taken out of the shadow.",
        "enforced" => "Live. Every call is decided by it from now on.",
        "rolled_back" => "Rolled back. Every call is decided by that bundle from now on.",
        "requested" => "Asked for. It holds once somebody else has approved it.",
        "excepted" => "Approved. It holds from now on, and ends by itself.",
        "signed_out" => "You are signed out.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_taken_back_offers_it_and_only_for_what_is_shown() {
        assert_eq!(
            back("suspended", "/agents/bot").unwrap().0,
            "/agents/bot/resume"
        );
        for (word, here) in [
            ("retired", "/agents/bot"),
            ("killed", "/containments/con_1"),
            ("contained", "/containments/con_1/x"),
            ("suspended", "/runs/run_1"),
            ("nonsense", "/agents/bot"),
        ] {
            assert!(back(word, here).is_none(), "{word} {here}");
        }
        assert!(notice("nonsense", "/", "", "").is_none());
    }
}
