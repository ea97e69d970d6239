//! Finds the cause of one failure: the first rule whose proof the evidence contains.

use std::collections::BTreeMap;

use crate::{
    evidence::Evidence,
    finding::{Certainty, Finding},
    limits,
    rules::{Rule, Rules},
    scan::{Hit, Scan},
};

/// The first rule with a proof in the evidence.
pub(crate) fn find(rules: &Rules, evidence: &Evidence<'_>) -> Option<Finding> {
    let scan = Scan::of(rules, evidence);
    rules
        .all()
        .iter()
        .enumerate()
        .find_map(|(index, rule)| apply(index, rule, rules, &scan, evidence))
}

/// What a rule finds, regardless of others.
pub(crate) fn apply_one(id: &str, rules: &Rules, evidence: &Evidence<'_>) -> Option<Finding> {
    let scan = Scan::of(rules, evidence);
    let (index, rule) = rules.all().iter().enumerate().find(|(_, rule)| rule.id == id)?;
    apply(index, rule, rules, &scan, evidence)
}

fn apply(index: usize, rule: &Rule, rules: &Rules, scan: &Scan, evidence: &Evidence<'_>) -> Option<Finding> {
    if rule.not.iter().any(|matcher| !scan.hits(*matcher).is_empty())
        || rule.all.iter().any(|matcher| scan.hits(*matcher).is_empty())
    {
        return None;
    }
    // Hits by key: the first one, their number, and the certainty.
    let mut by_key: BTreeMap<&str, (&Hit, usize, Certainty)> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    for matcher in rule.any.iter().chain(&rule.all) {
        let hits = scan.hits(*matcher);
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for hit in hits {
            *counts.entry(hit.key()).or_default() += 1;
        }
        let times = rules.matcher(*matcher).map_or(1, |matcher| matcher.times);
        for hit in hits {
            let key = hit.key();
            let is_often = counts.get(key).is_some_and(|count| *count >= times);
            let certainty = if hit.is_sure && is_often {
                Certainty::Sure
            } else {
                Certainty::Likely
            };
            let (_, count, best) = by_key.entry(key).or_insert_with(|| {
                order.push(key);
                (hit, 0, certainty)
            });
            *count += 1;
            *best = certainty.min(*best);
        }
    }
    // A key with a certain proof is the cause, not one next to it.
    let best = by_key.values().map(|(_, _, certainty)| *certainty).min()?;
    let is_best = |key: &&str| by_key.get(*key).is_some_and(|(_, _, certainty)| *certainty == best);
    let keys: Vec<&str> = order.into_iter().filter(is_best).take(limits::KEYS).collect();
    let (first, ..) = by_key.get(keys.first()?)?;
    let proofs = keys.iter().filter_map(|key| by_key.get(key)).take(limits::PROOFS);
    let fill = |template: &str| filled(template, first, evidence);
    Some(Finding {
        rule: rule.id.clone(),
        index,
        sentence: fill(&rule.sentence),
        next: fill(&rule.next),
        certainty: best.max(rule.certainty),
        proofs: proofs.map(|(hit, ..)| hit.proof.clone()).collect(),
        keys: keys
            .into_iter()
            .filter(|key| !key.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}

/// The template with the captures of a hit.
fn filled(template: &str, hit: &Hit, evidence: &Evidence<'_>) -> String {
    let mut text = String::with_capacity(template.len() + 64);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            text.push('{');
            rest = after;
            continue;
        };
        match name {
            "namespace" => text.push_str(evidence.namespace.as_deref().unwrap_or("NAMESPACE")),
            "plugin" => text.push_str(&evidence.output.plugin),
            name => text.push_str(hit.captures.get(name).map_or("", String::as_str)),
        }
        rest = after;
    }
    text.push_str(rest);
    text
}
