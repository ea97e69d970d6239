//! The configuration of name resolution. No name is resolved, so no data leaves the machine.

use std::{collections::BTreeMap, net::IpAddr};

use sono_types::Item;

use super::check::{check, group, known, skipped};
use crate::facts::Facts;

const RESOLVER: &str = "/etc/resolv.conf";
/// The limit of glibc, which also applies to the nameservers of a pod.
const NAMESERVERS: usize = 3;
/// The limits of Kubernetes for a pod.
const SEARCH_DOMAINS: usize = 32;
const SEARCH_CHARACTERS: usize = 2048;

pub(super) fn judge(facts: &Facts) -> Item {
    let items = vec![nameservers(facts), search(facts), localhost(facts)];
    group("dns", BTreeMap::new(), items)
}

fn nameservers(facts: &Facts) -> Item {
    let name = "nameservers";
    known(name, facts.text(RESOLVER), |text| {
        let servers: Vec<&str> = values(text, "nameserver")
            .filter_map(|words| words.first().copied())
            .collect();
        if servers.is_empty() && uses_nss_module(facts, &["resolve"]) {
            return skipped(name, "names are resolved by systemd-resolved directly");
        }
        let shown: Vec<String> = servers.iter().map(|server| shown(server)).collect();
        let bad = servers.iter().find(|server| address(server).is_none());
        let complaint = match (servers.len(), bad) {
            (0, _) => Some(format!(
                "{RESOLVER} has no nameserver: external names cannot be resolved"
            )),
            (_, Some(bad)) => Some(format!("{RESOLVER} has an invalid nameserver: {bad:?}")),
            (count, _) if count > NAMESERVERS => Some(format!(
                "{count} nameservers, of which only the first {NAMESERVERS} are used: {}",
                shown.join(", ")
            )),
            _ => None,
        };
        check(name, &format!("1 to {NAMESERVERS}"), shown.join(", "), complaint)
    })
}

/// Marks a nameserver on the machine itself, since pods that inherit the node's file cannot reach it.
fn shown(server: &str) -> String {
    match address(server) {
        Some(address) if address.is_loopback() => format!("{server} (on this machine, unreachable from pods)"),
        _ => server.to_owned(),
    }
}

fn address(server: &str) -> Option<IpAddr> {
    server.split('%').next()?.parse().ok()
}

fn search(facts: &Facts) -> Item {
    let name = "search list";
    known(name, facts.text(RESOLVER), |text| {
        let domains = values(text, "search").last().unwrap_or_default();
        let letters = domains.join(" ").len();
        let complaint = (domains.len() > SEARCH_DOMAINS || letters > SEARCH_CHARACTERS).then(|| {
            let count = domains.len();
            format!(
                "{count} domains with {letters} characters: Kubernetes allows {SEARCH_DOMAINS} with {SEARCH_CHARACTERS}"
            )
        });
        let observed = if domains.is_empty() {
            "empty".to_owned()
        } else {
            domains.join(" ")
        };
        check(name, &format!("{SEARCH_DOMAINS} domains or fewer"), observed, complaint)
    })
}

fn localhost(facts: &Facts) -> Item {
    let name = "localhost";
    let hosts = "/etc/hosts";
    known(name, facts.text(hosts), |text| {
        let wanted = "an address of this machine";
        let found: Vec<&str> = lines(text)
            .filter(|words| words.iter().skip(1).any(|word| word.eq_ignore_ascii_case("localhost")))
            .map(|words| words[0])
            .collect();
        let is_local = |address: &&str| address.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        if found.iter().any(is_local) {
            return check(name, wanted, found.join(", "), None);
        }
        if !found.is_empty() {
            let complaint = format!("{hosts} maps localhost to {}", found.join(", "));
            return check(name, wanted, found.join(", "), Some(complaint));
        }
        if uses_nss_module(facts, &["myhostname", "resolve"]) {
            return check(name, wanted, "resolved by systemd", None);
        }
        let complaint = format!("{hosts} does not define localhost, so it is resolved by the nameservers");
        check(name, wanted, "not defined", Some(complaint))
    })
}

/// Whether one of these NSS modules resolves host names.
fn uses_nss_module(facts: &Facts, modules: &[&str]) -> bool {
    let text = facts.text("/etc/nsswitch.conf").unwrap_or_default();
    values(text, "hosts:").any(|words| words.iter().any(|word| modules.contains(word)))
}

/// The words after a keyword, per line.
fn values<'a>(text: &'a str, keyword: &str) -> impl Iterator<Item = Vec<&'a str>> {
    lines(text).filter_map(move |words| (words[0] == keyword).then(|| words[1..].to_vec()))
}

/// The words of each non-empty line, without comments.
fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines()
        .filter_map(|line| line.split(['#', ';']).next())
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| !words.is_empty())
}
