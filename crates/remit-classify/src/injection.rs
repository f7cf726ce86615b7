//! Markers of prompt injection: words and marks that speak to a model rather than to a reader.
//!
//! A net with wide meshes, and said so: it finds the common ways, in four languages, not every way. Nothing relies on
//! it alone; `untrusted` is declared per tool and holds without it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use regex::{Regex, RegexSet};

use crate::reading::unseen;
use crate::{Class, Finding};

/// Name and form. Case does not matter, and any white space is one blank.
const MARKERS: [(&str, &str); 16] = [
    (
        "override",
        r"\b(?:ignore|disregard|forget|override|bypass|discard|neglect)\b[^.!?]{0,24}\b(?:all|any|every|previous|prior|above|earlier|preceding|foregoing|existing|original|your|the|these|those|system)\b[^.!?]{0,32}\b(?:instructions?|prompts?|rules|guidelines|directions|directives|commands|constraints|restrictions|guardrails|safety|training|programming)\b",
    ),
    (
        "override",
        r"\b(?:ignore|disregard|forget) (?:everything|all|anything) (?:above|before|you (?:were|have been) told|said|that came before|previously)",
    ),
    (
        "override-de",
        r"\b(?:ignoriere|vergiss|missachte)\b[^.!?]{0,24}\b(?:alle|vorherigen?|bisherigen?|obigen?|deine)\b[^.!?]{0,24}\b(?:anweisung(?:en)?|regeln|vorgaben|befehle)\b",
    ),
    (
        "override-fr",
        r"\b(?:ignore[zr]?|oublie[zr]?)\b[^.!?]{0,24}\b(?:toutes|les|tes|vos)\b[^.!?]{0,24}\b(?:instructions|consignes|règles)\b",
    ),
    (
        "override-es",
        r"\b(?:ignora|olvida|ignore|olvide)\b[^.!?]{0,24}\b(?:todas|las|tus|sus)\b[^.!?]{0,24}\b(?:instrucciones|reglas|indicaciones)\b",
    ),
    (
        "chat-markup",
        r"<\|(?:im_start|im_end|system|user|assistant|endoftext|start_header_id|eot_id)\|>|\[/?INST\]|<</?SYS>>|</?(?:system|assistant)(?:_prompt|-prompt| prompt)?>|\bBEGIN SYSTEM (?:PROMPT|MESSAGE|INSTRUCTIONS?)\b",
    ),
    (
        "new-instructions",
        r"\b(?:new|updated|revised|real|actual|hidden|secret|additional|urgent|override) (?:system |admin |developer |security )?(?:instructions?|prompt|directives?|task)(?: for (?:the |you|ai)[^:.]{0,30})?\s?:",
    ),
    (
        "role-change",
        r"\b(?:you are now|from now on,? you(?: are| will| must)?|act as|pretend (?:to be|you are)|switch to|enter)\b[^.!?]{0,40}\b(?:dan\b|jailbroken|unrestricted|unfiltered|developer mode|admin(?:istrator)? mode|god mode|debug mode|maintenance mode|no longer bound|without (?:any )?(?:restrictions|rules|limits|filters)|a different (?:ai|assistant))",
    ),
    (
        "conceal",
        r"\b(?:do not|don't|never|without) (?:tell|telling|inform|informing|mention|mentioning|reveal|revealing|alert|alerting|notify|notifying|show|showing|let)\b[^.!?]{0,30}\b(?:the user|the human|the operator|the owner|the customer|anyone|anybody|your (?:user|operator|owner|human))\b",
    ),
    (
        "prompt-theft",
        r"\b(?:reveal|print|repeat|show|output|leak|display|disclose|send|share|paste)\b[^.!?]{0,24}\b(?:your|the|its|initial|hidden|full|entire)\b[^.!?]{0,16}\b(?:system prompt|system message|initial prompt|hidden instructions|(?:original|initial|full) instructions)\b",
    ),
    (
        "to-the-model",
        r"\b(?:attention|note to|notice to|message to|message for|instructions? (?:to|for)|important for|memo to|dear|hey|hello)\b[,: ]{0,3}(?:the |any |all |every )?(?:ai|a\.i\.|llms?|language models?|assistants?|ai agents?|agents?|chatbots?|bots?|copilot|claude|chatgpt|gpt|gemini|models?)\b[^?]{0,80}\b(?:must|should|shall|please|need to|have to|required to|send|forward|call|execute|run|delete|transfer|approve|refund|e-?mail|reset|grant|ignore|do not|add|upload|post)\b",
    ),
    (
        "to-the-model",
        r"\b(?:if you are|as) (?:an? )?(?:ai|a\.i\.|llm|language model|ai assistant|ai agent|automated (?:agent|assistant|system)|chatbot|bot)\b(?:[^.?]{0,40})\b(?:you must|you should|please|you need to|you have to|then (?:send|call|run|forward|delete|execute)|must (?:now )?(?:send|call|run|forward|delete|execute))\b",
    ),
    (
        "authority",
        r"\b(?:this is|as|per|by order of|authori[sz]ed by|pre-?approved by|approved by)\b[^.!?]{0,30}\b(?:your (?:developer|creator|administrator|system administrator|operator)|anthropic|openai|the system administrator|system override|admin override)\b[^.!?]{0,60}\b(?:you must|you may|you can|execute|run|proceed|bypass|skip|no (?:approval|confirmation)|without (?:approval|confirmation|asking))\b",
    ),
    (
        "no-questions",
        r"\b(?:execute|run|do|perform|proceed|comply|transfer|send|delete)\b[^.!?]{0,40}\bwithout (?:asking|confirming|confirmation|approval|verification|question)[^.!?]{0,30}\b(?:the user|again|first|anyone|anybody|immediately|now|for)\b",
    ),
    (
        "exfiltration-link",
        r"!\[[^\]]{0,200}\]\(https?://[^)\s]+[?&/](?:data|d|q|payload|secret|token|content|c|exfil|key|prompt|chat|history|context)=[^)]*\)",
    ),
    (
        "tool-order",
        r"\b(?:immediately|now|first|then|next|also|must|always|silently|quietly)\b[^.!?]{0,24}\b(?:call|invoke|use|run|execute|trigger) (?:the )?[`'a-z0-9_.-]{2,64} (?:tool|function)\b[^.!?]{0,80}\b(?:with|to|and|for)\b",
    ),
];

/// Tag characters, which spell ASCII that nobody sees; this many are no accident.
const TAGS: usize = 4;
/// Unseen characters in a row; this many are no accident.
const UNSEEN: usize = 8;

/// The rules, compiled.
pub(crate) struct Injection {
    markers: Vec<(&'static str, Regex)>,
    /// Which of them are there at all, in one pass.
    any: RegexSet,
    encoded: Regex,
}

impl Injection {
    pub(crate) fn new() -> Result<Self, regex::Error> {
        let forms =
            MARKERS.map(|(name, form)| (name, format!("(?i){}", form.replace(' ', r"\s+"))));
        let markers = forms
            .iter()
            .map(|(name, form)| Ok((*name, Regex::new(form)?)));
        Ok(Self {
            markers: markers.collect::<Result<_, regex::Error>>()?,
            any: RegexSet::new(forms.iter().map(|(_, form)| form))?,
            encoded: Regex::new(r"[A-Za-z0-9+/]{40,}")?,
        })
    }

    /// Markers in a text as it is read, and in what its base64 decodes to (once).
    pub(crate) fn find(&self, text: &str, found: &mut Vec<Finding>) {
        self.plain(text, found);
        for blob in self.encoded.find_iter(text) {
            let whole = blob.as_str().get(..blob.len() / 4 * 4).unwrap_or_default();
            let Some(inner) = STANDARD_NO_PAD
                .decode(whole)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
            else {
                continue;
            };
            let mut inside = Vec::new();
            self.plain(&inner, &mut inside);
            if !inside.is_empty() {
                found.push(Finding::new(Class::Injection, "encoded", blob.range()));
            }
        }
    }

    fn plain(&self, text: &str, found: &mut Vec<Finding>) {
        for at in &self.any.matches(text) {
            let Some((name, form)) = self.markers.get(at) else {
                continue;
            };
            found.extend(
                form.find_iter(text)
                    .map(|at| Finding::new(Class::Injection, name, at.range())),
            );
        }
    }
}

/// Writing that is in the text and cannot be seen, in the text as it was given.
pub(crate) fn hidden(text: &str, found: &mut Vec<Finding>) {
    if text.is_ascii() {
        return;
    }
    let mut start = None;
    let mut seen = (0, 0);
    let end = std::iter::once((text.len(), ' '));
    for (at, c) in text.char_indices().chain(end) {
        if unseen(c) && c != '\u{fe0f}' {
            start.get_or_insert(at);
            seen.0 += 1;
            seen.1 += usize::from(('\u{e0020}'..='\u{e007e}').contains(&c));
            continue;
        }
        // A flag of a region is a few tags after a black flag, and no message.
        let flag = start.is_some_and(|start| {
            text.get(..start)
                .is_some_and(|before| before.ends_with('\u{1f3f4}'))
        });
        if let Some(start) = start.take()
            && !flag
            && (seen.0 >= UNSEEN || seen.1 >= TAGS)
        {
            found.push(Finding::new(Class::Injection, "hidden-text", start..at));
        }
        seen = (0, 0);
    }
}
