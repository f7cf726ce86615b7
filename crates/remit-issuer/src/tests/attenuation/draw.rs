//! What sequences are drawn from.

use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::{BTreeSet, ORDERS, Start, Step, TOOLS, Value, json};

fn bounds() -> impl Strategy<Value = Value> {
    let max = prop::sample::select(vec![20, 500]);
    let amount = max.prop_map(|max| json!([{ "decimal": { "max": max } }]));
    let listed = prop::sample::subsequence(ORDERS.to_vec(), 1..=ORDERS.len());
    let order = prop_oneof![
        listed.prop_map(|orders| json!([{ "one_of": orders }])),
        Just(json!([{ "prefix": { "prefix": "A", "separator": "-" } }])),
    ];
    let both = (option::weighted(0.3, amount), option::weighted(0.2, order));
    both.prop_map(|(amount, order)| {
        let mut bounds = json!({});
        for (path, bound) in [("amount", amount), ("order", order)] {
            if let Some(bound) = bound {
                bounds[path] = bound;
            }
        }
        bounds
    })
}

fn tools() -> impl Strategy<Value = Value> {
    let each = vec(option::weighted(0.7, bounds()), TOOLS.len());
    each.prop_map(|each| {
        let named = TOOLS.iter().zip(each);
        let named = named.filter_map(|((tool, ..), bounds)| Some(((*tool).to_owned(), bounds?)));
        Value::Object(named.collect())
    })
}

fn details() -> impl Strategy<Value = Value> {
    tools().prop_filter_map("no tool", |tools| {
        let each = tools.as_object()?.iter();
        let each = each.map(|(t, b)| json!({ "type": "remit_tool", "tool": t, "bounds": b }));
        let each: Vec<Value> = each.collect();
        (!each.is_empty()).then(|| json!(each))
    })
}

/// An authority; `until` is in seconds from when it is asked for.
fn authority() -> impl Strategy<Value = Value> {
    let effects = prop::sample::subsequence(vec!["read", "purchase", "destructive"], 1..=3);
    let orders = prop::sample::subsequence(ORDERS.to_vec(), 0..=ORDERS.len());
    let parts = (
        option::weighted(0.3, tools()),
        option::weighted(0.1, effects),
        option::weighted(0.1, classes()),
        option::weighted(0.1, orders),
        option::weighted(0.2, 60..7_200_u16),
    );
    parts.prop_map(|(tools, effects, classes, orders, until)| {
        let mut all = json!({ "tools": tools, "effects": effects, "data_classes": classes,
            "targets": orders.map(|orders| json!({ "order": orders })), "until": until });
        all.as_object_mut()
            .unwrap()
            .retain(|_, part| !part.is_null());
        all
    })
}

fn classes() -> impl Strategy<Value = BTreeSet<&'static str>> {
    btree_set(prop::sample::select(vec!["orders", "pii"]), 1..=2)
}

pub(super) fn start() -> impl Strategy<Value = Start> {
    let ends = option::weighted(0.4, 300..4_000_u16);
    let granted = vec((0..TOOLS.len(), bounds(), ends), 3..7);
    let workflows = vec((granted, classes()), 3);
    let delegated = (authority(), 3_000..7_200_u16, 1..5_u8);
    let entitled = prop::sample::subsequence(vec!["refunds", "support"], 0..=2);
    (workflows, delegated, entitled).prop_map(|(workflows, delegated, entitled)| Start {
        workflows,
        delegated,
        entitled: entitled.into_iter().collect(),
    })
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let index = || 0..16_usize;
    let to = 0..3_usize;
    prop_oneof![
        1 => (1..900_u16).prop_map(Step::Wait),
        2 => (index(), details()).prop_map(|(of, details)| Step::Narrow { of, details }),
        4 => (index(), to.clone(), authority(), option::weighted(0.3, 60..7_200_u16), option::weighted(0.2, details()))
            .prop_map(|(of, to, authority, secs, details)| Step::Spawn { of, to, authority, secs, details }),
        2 => (index(), to, option::weighted(0.3, details()))
            .prop_map(|(of, to, details)| Step::SpawnByExchange { of, to, details }),
        2 => index().prop_map(Step::Renew),
    ]
}
