//! PRODUCT.yaml in strict mode.

use crate::{
    go_mail, go_url,
    judgement::{Finding, Findings, Verdict},
    product::{EMAIL_FIELD, Field, OPTIONAL_FIELDS, Product, REQUIRED_FIELDS, TYPES, URL_FIELDS},
    rules,
    submission::PRODUCT,
};

const FILL_IN: &str = "write the file with: sono conformance product init";
const LOGO_FIELD: &str = "product_logo_url";

/// Checks a description of a product as strict mode does.
pub fn check_product(contents: &[u8]) -> Vec<Finding> {
    let mut findings = Findings::default();
    check(Some(contents), &mut findings);
    findings.0
}

pub(super) fn check(contents: Option<&[u8]>, findings: &mut Findings) {
    let Some(contents) = contents else {
        findings.fail(rules::PRODUCT_FIELDS, PRODUCT, "the file is missing", FILL_IN);
        return;
    };
    let product = match Product::read(contents) {
        Ok(product) => product,
        Err(error) => {
            findings.fail(
                rules::PRODUCT_FORMAT,
                PRODUCT,
                format!("cannot read the file: {error}"),
                FILL_IN,
            );
            return;
        }
    };
    fields(&product, findings);
    formats(&product, findings);
    let kind = product.text("type");
    if TYPES.contains(&kind) {
        findings.add(
            rules::PRODUCT_TYPE,
            Verdict::Passed,
            "type",
            format!("the type is `{kind}`"),
        );
    } else {
        let hint = "use distribution, hosted platform or installer";
        findings.fail(rules::PRODUCT_TYPE, "type", format!("`{kind}` is not a type"), hint);
    }
    findings.add(
        rules::PRODUCT_URLS,
        Verdict::NotChecked,
        PRODUCT,
        "sono does not request the URLs",
    );
    logo(&product, findings);
}

fn fields(product: &Product, findings: &mut Findings) {
    for name in REQUIRED_FIELDS {
        if product.fields().get(name) == Some(&Field::Structure) {
            continue;
        }
        let text = product.text(name).trim();
        if text.is_empty() {
            findings.fail(rules::PRODUCT_FIELDS, name, "the field is missing or empty", FILL_IN);
        } else if is_placeholder(text) {
            findings.fail(rules::PRODUCT_FIELDS, name, "the field has a placeholder", FILL_IN);
        }
    }
    for name in product.repeated() {
        findings.fail(
            rules::PRODUCT_FIELDS,
            name,
            "the field exists twice",
            "remove one of the lines",
        );
    }
    findings.pass_unless_found(rules::PRODUCT_FIELDS, PRODUCT, "all fields have a value");
    for (name, field) in product.fields() {
        let known = REQUIRED_FIELDS.contains(&name.as_str()) || OPTIONAL_FIELDS.contains(&name.as_str());
        match field {
            Field::Structure => {
                let hint = "write the value as text in quotes";
                findings.fail(rules::PRODUCT_FORMAT, name, "the field is a list or a map", hint);
            }
            Field::Scalar(text) => {
                let message = format!("`{text}` is not in quotes: parsers read a number or a boolean");
                findings.notice(rules::PRODUCT_FORMAT, name, message, "write the value in quotes");
            }
            _ if !known => {
                findings.notice(
                    rules::PRODUCT_FORMAT,
                    name,
                    "the field is not part of the format",
                    "remove the field",
                );
            }
            Field::Text(_) | Field::Null => {}
        }
    }
}

/// Whether text was left from a template, such as `[name]` or `<name>`.
fn is_placeholder(text: &str) -> bool {
    let in_brackets = |open, close| text.starts_with(open) && text.ends_with(close);
    in_brackets('[', ']') || in_brackets('<', '>') || text.eq_ignore_ascii_case("todo")
}

fn formats(product: &Product, findings: &mut Findings) {
    for name in URL_FIELDS {
        let url = product.text(name);
        if url.is_empty() {
            continue;
        }
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        let complete = host.is_some_and(|host| host.contains('.') && !host.starts_with('.'));
        if !complete || url.contains(char::is_whitespace) || go_url::check(url).is_err() {
            let hint = "write an address with https://";
            findings.fail(
                rules::PRODUCT_FORMAT,
                name,
                "the field is not the address of a web page",
                hint,
            );
        }
    }
    let address = product.text(EMAIL_FIELD);
    if !address.is_empty() && !go_mail::is_plain(address) {
        let hint = "write one address, such as team@example.com";
        findings.fail(
            rules::PRODUCT_FORMAT,
            EMAIL_FIELD,
            "the field is not a plain e-mail address",
            hint,
        );
    }
    findings.pass_unless_found(rules::PRODUCT_FORMAT, PRODUCT, "URLs and e-mail address are valid");
}

fn logo(product: &Product, findings: &mut Findings) {
    let url = product.text(LOGO_FIELD);
    if url.is_empty() {
        let message = "the field is missing; new products need a logo in SVG, AI or EPS";
        findings.notice(
            rules::LOGO,
            LOGO_FIELD,
            message,
            "set product_logo_url, or attach the logo to the pull request",
        );
        return;
    }
    let path = url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    if [".svg", ".ai", ".eps"].iter().any(|end| path.ends_with(end)) {
        findings.add(rules::LOGO, Verdict::Passed, LOGO_FIELD, "the logo has a vector format");
    } else {
        findings.notice(
            rules::LOGO,
            LOGO_FIELD,
            "the logo is not an SVG, AI or EPS file",
            "link a vector file",
        );
    }
}
